/**
 * A running server, asked by judges that find their way by the certificate alone: list, delta and responder are where it says,
 * and say what was stored a moment before.
 */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { decodePemBlocks, encodePem } from '../../src/der/pem.ts';
import { parseCertificate } from '../../src/x509/certificate.ts';
import { testServer } from '../server.ts';
import { ocsptool, openssl, pathOf, skipOf, type Tool } from './tools.ts';

const run = promisify(execFile);
const [OPENSSL, OCSPTOOL] = [openssl(), ocsptool()];

async function said(tool: Tool, args: readonly string[]): Promise<string> {
  const running = run(pathOf(tool), args, { timeout: 20_000 });
  running.child.stdin!.end();
  const { stdout, stderr } = await running.catch((error: { stdout: string; stderr: string }) => error);
  return stdout + stderr;
}

test('whoever goes by the certificate finds what is stored', {
  skip: skipOf(OPENSSL) || skipOf(OCSPTOOL),
}, async () => {
  const server = await testServer();
  const at = (name: string): string => join(server.scratch, name);
  const { roots } = JSON.parse(readFileSync(server.operator, 'utf8')) as { roots: string[] };
  writeFileSync(at('root.pem'), roots.join(''));
  const enrol = async (name: string) => {
    await server.token('books', 'service');
    const { files } = await server.json<{ files: { certificate: string } }>(
      'enrol',
      '--service',
      'books',
      '--out',
      at(name),
    );
    const blocks = decodePemBlocks(readFileSync(files.certificate, 'utf8')).map(({ der }) => der);
    const [leaf, issuing, intermediate] = blocks.map((der) => encodePem('CERTIFICATE', der));
    writeFileSync(at(`${name}.pem`), leaf!);
    writeFileSync(at('issuing.pem'), issuing!);
    writeFileSync(at('untrusted.pem'), issuing! + intermediate!);
    writeFileSync(at('authorities.pem'), issuing! + intermediate! + roots.join(''));
    // OpenSSL asks for a list about the root, too, which names none: that of the intermediate's issuer is one.
    const point = spawnSync(pathOf(OPENSSL), ['x509', '-noout', '-ext', 'crlDistributionPoints'], {
      input: intermediate,
      encoding: 'utf8',
    });
    const url = /URI:(\S+)/.exec(point.stdout)![1]!;
    const crl = Buffer.from(await (await fetch(url)).arrayBuffer());
    writeFileSync(at('root.crl'), encodePem('X509 CRL', crl));
    return { pem: at(`${name}.pem`), serial: Buffer.from(parseCertificate(blocks[0]!).serial).toString('hex') };
  };
  const verdicts = async (pem: string): Promise<Record<string, string>> => {
    const chain = ['-CAfile', at('root.pem'), '-untrusted', at('untrusted.pem'), '-CRLfile', at('root.crl')];
    const lists = ['-crl_check_all', '-crl_download', '-x509_strict', '-extended_crl', '-use_deltas'];
    const byList = await said(OPENSSL, ['verify', ...lists, ...chain, pem]);
    const url = (await said(OPENSSL, ['x509', '-noout', '-ocsp_uri', '-in', pem])).trim();
    const about = ['-CAfile', at('authorities.pem'), '-issuer', at('issuing.pem'), '-cert', pem];
    const byOcsp = await said(OPENSSL, ['ocsp', ...about, '-url', url]);
    assert.match(byOcsp, /Response verify OK/);
    // Without an address it takes that of the certificate.
    const asked = ['--ask', '--load-cert', pem, '--load-issuer', at('issuing.pem')];
    const byGnutls = await said(OCSPTOOL, asked);
    return {
      'openssl verify': /error 23 at [01] depth lookup: certificate revoked/.test(byList)
        ? 'revoked'
        : byList.replace(pem, ''),
      'openssl ocsp': `${/: (\w+)\n/.exec(byOcsp)?.[1]} ${/Reason: (\w+)/.exec(byOcsp)?.[1] ?? ''}`.trim(),
      ocsptool: /Certificate Status: (\w+)/.exec(byGnutls)?.[1] ?? byGnutls,
    };
  };
  const good = { 'openssl verify': ': OK\n', 'openssl ocsp': 'good', ocsptool: 'good' };
  const [kept, held, revoked] = [await enrol('kept'), await enrol('held'), await enrol('revoked')];
  for (const { pem } of [kept, held, revoked]) assert.deepEqual(await verdicts(pem), good);
  await server.json('stop', 'certificate', held.serial, '--cause', 'policy_change', '--quarantine');
  await server.json('cert', 'revoke', revoked.serial, '--cause', 'key_theft');
  assert.deepEqual(await verdicts(kept.pem), good);
  const gone = { 'openssl verify': 'revoked', ocsptool: 'revoked' };
  assert.deepEqual(await verdicts(held.pem), { ...gone, 'openssl ocsp': 'revoked certificateHold' });
  assert.deepEqual(await verdicts(revoked.pem), { ...gone, 'openssl ocsp': 'revoked keyCompromise' });

  // The operator's own certificate is of the authority before.
  const { id } = await server.json<{ id: string }>('ca', 'rotate');
  const below = await enrol('below');
  assert.deepEqual(await verdicts(below.pem), good);
  await server.json('stop', 'authority', id, '--cause', 'policy_change', '--quarantine');
  let found = await verdicts(below.pem);
  // The list of the authority above is signed a moment later.
  for (let tries = 0; tries < 20 && found['openssl verify'] !== 'revoked'; tries++) found = await verdicts(below.pem);
  assert.deepEqual(found, { ...gone, 'openssl ocsp': 'revoked certificateHold' });
});
