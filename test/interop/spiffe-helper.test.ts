/** spiffe-helper, as it is, on the Workload API of `writ agent`: the files that it keeps for programs that know nothing of SPIFFE. */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect as connectTls, createServer } from 'node:tls';
import { validateJwtSvid } from '../../src/jwt/jwt-svid.ts';
import { parseSpiffeBundle } from '../../src/jwt/spiffe-bundle.ts';
import { eventually, startForeign } from './foreign.ts';
import { machine } from './machine.ts';
import { pathOf, skipOf, spiffeHelper } from './tools.ts';

const HELPER = spiffeHelper();
const skip = skipOf(HELPER);
const box = (skip === false ? await machine() : undefined)!;

/** A folder of files and what keeps them. Default: certificate, key and roots alone. */
function configured(name: string, more = ''): { readonly folder: string; readonly config: string } {
  const folder = join(box.scratch, `${name}-files`);
  mkdirSync(folder);
  const config = join(box.scratch, `${name}.conf`);
  const files = [
    'svid_file_name = "svid.pem"',
    'svid_key_file_name = "key.pem"',
    'svid_bundle_file_name = "roots.pem"',
  ];
  const own = [`agent_address = "${box.socket}"`, `cert_dir = "${folder}"`, ...files, more];
  writeFileSync(config, own.join('\n'));
  return { folder, config };
}

/** What lies in a folder; undefined while a file is not there or half written. */
function lyingIn(folder: string): { readonly id: string; readonly serial: string } | undefined {
  try {
    const [leaf, key] = [new X509Certificate(read(folder, 'svid.pem')), createPrivateKey(read(folder, 'key.pem'))];
    if (!leaf.checkPrivateKey(key)) return undefined;
    return { id: leaf.subjectAltName!.replace(/^URI:/, ''), serial: leaf.serialNumber.toLowerCase() };
  } catch {
    return undefined;
  }
}

const read = (folder: string, file: string): string => readFileSync(join(folder, file), 'utf8');
const serialOf = (agent: string): string =>
  new X509Certificate(box.latest(agent).credential.certificate).serialNumber.toLowerCase();

test('it writes certificate, key, roots, token and keys of tokens, signals whoever reads them, and again after a renewal', {
  skip,
}, async () => {
  let signals = 0;
  const count = (): void => {
    signals += 1;
  };
  process.on('SIGHUP', count);
  box.atEnd(() => process.off('SIGHUP', count));
  writeFileSync(join(box.scratch, 'reader.pid'), String(process.pid));
  const path = box.install(pathOf(HELPER), 'helper');
  await box.entry('planner', path, '--hint', 'inside');
  await box.entry('reader', path, '--hint', 'outside');
  const { folder, config } = configured(
    'daemon',
    [
      `pid_file_name = "${join(box.scratch, 'reader.pid')}"`,
      'renew_signal = "SIGHUP"',
      'hint = "outside"',
      'jwt_svids = [{ jwt_audience = "bank", jwt_extra_audiences = ["vault"], jwt_svid_file_name = "bank.jwt" }]',
      'jwt_bundle_file_name = "keys.json"',
    ].join('\n'),
  );
  const helper = startForeign(path, ['-config', config]);
  box.atEnd(() => helper.stop());
  const first = await eventually(() => lyingIn(folder), helper.said);
  assert.ok(first.id.startsWith(box.prefix('agent/reader')), first.id);
  assert.equal(first.serial, serialOf('reader'));
  assert.equal(statSync(join(folder, 'key.pem')).mode & 0o777, 0o600);
  await helper.saying(/JWT SVID updated/);
  await helper.saying(/JWT bundle updated/);
  const keys = JSON.parse(read(folder, 'keys.json')) as Record<string, string>;
  assert.deepEqual(Object.keys(keys), [box.node.trustDomain]);
  const { jwtKeys } = parseSpiffeBundle(asBundle(keys[box.node.trustDomain]!), 'keys.json');
  const validated = validateJwtSvid(read(folder, 'bank.jwt'), {
    ...{ audience: 'vault', now: Date.now() },
    keys: (domain) => (domain === box.node.trustDomain ? jwtKeys : undefined),
  });
  assert.equal(validated.ok ? validated.id.uri : validated.fault, first.id);
  await eventually(() => (signals > 0 ? true : undefined), helper.said);

  const before = signals;
  await box.latest('reader').renew();
  const second = await eventually(() => {
    const now = lyingIn(folder);
    return now === undefined || now.serial === first.serial ? undefined : now;
  }, helper.said);
  assert.deepEqual(second, { id: first.id, serial: serialOf('reader') });
  await eventually(() => (signals > before ? true : undefined), helper.said);

  // A stop takes nothing back out of a file: whoever meets the certificate learns it from the feed, OCSP or a list.
  const from = helper.said().length;
  for (const agent of ['reader', 'planner'])
    await box.server.json('instance', 'stop', box.latest(agent).instance, '--yes');
  await helper.saying(/PermissionDenied/, from);
  assert.deepEqual(lyingIn(folder), second);
});

/** The keys as the helper writes them (a JWK Set) are those of a bundle once each says what it is for. */
function asBundle(base64: string): Uint8Array {
  const { keys } = JSON.parse(Buffer.from(base64, 'base64').toString()) as { keys: readonly object[] };
  return Buffer.from(JSON.stringify({ keys: keys.map((key) => ({ ...key, use: 'jwt-svid' })) }));
}

test('it writes them once and ends; a server of plain TLS reads nothing else', { skip }, async () => {
  const path = box.install(pathOf(HELPER), 'once');
  await box.entry('scribe', path);
  const { folder, config } = configured('once');
  const helper = startForeign(path, ['-config', config, '-daemon-mode=false']);
  assert.equal(await helper.ended, 0, helper.said());
  const options = { key: read(folder, 'key.pem'), cert: read(folder, 'svid.pem'), ca: read(folder, 'roots.pem') };
  const listener = createServer({ ...options, requestCert: true }, (peer) => peer.end(`${peer.authorized}`));
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  box.atEnd(() => listener.close());
  const { port } = listener.address() as AddressInfo;
  const far = connectTls({ host: '127.0.0.1', port, ...box.node.clientOptions({ allow: 'agent/scribe/*' }) });
  const [heard] = (await once(far, 'data')) as [Buffer];
  assert.equal(heard.toString(), 'true');
});

test('whoever no entry lets in gets no file', { skip }, async () => {
  const { folder, config } = configured('nobody');
  const helper = startForeign(box.install(pathOf(HELPER), 'nobody'), ['-config', config]);
  box.atEnd(() => helper.stop());
  await helper.saying(/PermissionDenied/);
  assert.equal(lyingIn(folder), undefined);
});
