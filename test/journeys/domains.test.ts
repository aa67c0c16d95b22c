/** The root of somebody else's trust domain lies here, and their authority below it is judged by OpenSSL. */
import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { decodePem, encodePem } from '../../src/der/pem.ts';
import { parseSpiffeBundle } from '../../src/jwt/spiffe-bundle.ts';
import type { Domain, DomainAuthority, SignedDomainAuthority } from '../../src/wire/domain.ts';
import { parseCertificate } from '../../src/x509/certificate.ts';
import { findExtension } from '../../src/x509/extension.ts';
import { CRL_DISTRIBUTION_POINTS } from '../../src/x509/extensions/crl-distribution-points.ts';
import { noOpenssl, openssl } from '../../src/x509/testdata/openssl.ts';
import { type TestServer, testServer } from '../server.ts';
import { certificate } from '../spiffe-conformance/certificate.ts';
import { csrFor, newKey } from './clients.ts';

const OTHER = 'partners.example';

test('an authority below the root of another trust domain names what is in it, and nothing of ours', {
  skip: noOpenssl,
}, async () => {
  const server = await testServer({ args: ['--trust-domain', 'agents.example.com'] });
  const made = await server.json<Domain>('domain', 'create', OTHER, '--lifetime', '1d', '--key', 'ec-p256');
  assert.deepEqual(made.profile, { most_seconds: 86_400, keys: ['ec-p256'], most: 10 });

  const key = newKey();
  const csr = join(server.scratch, 'upstream.csr');
  writeFileSync(csr, await csrFor(key));
  const out = join(server.scratch, 'upstream.pem');
  const signed = await server.json<SignedDomainAuthority>('domain', 'sign', OTHER, '--csr', csr, '--out', out);
  assert.equal(readFileSync(out, 'utf8'), signed.certificate + signed.chain.join(''));
  const { subject, spki } = parseCertificate(decodePem(signed.certificate, 'CERTIFICATE'));
  assert.deepEqual(Buffer.from(spki), createPublicKey(key).export({ type: 'spki', format: 'der' }));

  const verify = (wanted: Parameters<typeof certificate>[0]): void => {
    const leaf = certificate({ ...wanted, by: { key, subject: subject.raw } });
    openssl(['verify', '-x509_strict', '-CAfile', 'root', '-untrusted', 'above', 'leaf'], {
      ...{ root: signed.root, above: readFileSync(out), leaf: leaf.pem },
    });
  };
  verify({ uris: [`spiffe://${OTHER}/web`] });
  assert.throws(() => verify({ uris: ['spiffe://agents.example.com/agent/planner/1'] }), /permitted subtree violation/);
  assert.throws(() => verify({ uris: [`spiffe://${OTHER}/web`], dns: ['x.agents.example.com'] }), /permitted subtree/);

  // Shown to this server it names nobody, and that it was signed stands on the ledger.
  const name = 'spiffe://agents.example.com/agent/planner/1';
  const stranger = certificate({ uris: [name], by: { key, subject: subject.raw } });
  assert.equal(await statusFor(`${server.api}/v1/whoami`, stranger.keyPem, stranger.pem + readFileSync(out)), 401);
  const refused = await eventOf(server, `domain:${OTHER}`, 'access.refused');
  assert.deepEqual([refused['spiffe_id'], refused['code']], [name, 'not_authenticated']);

  // Whoever looks at lists finds them where the certificates say, and what is revoked on them.
  const lists = async (): Promise<string> => {
    const found = await Promise.all([signed.certificate, ...signed.chain].map((pem) => listFor(pem)));
    return found.map((der) => encodePem('X509 CRL', der)).join('');
  };
  const judge = async (): Promise<void> => {
    openssl(
      [
        'verify',
        '-x509_strict',
        '-crl_check_all',
        '-CAfile',
        'root',
        '-untrusted',
        'above',
        '-CRLfile',
        'lists',
        'leaf',
      ],
      {
        ...{ root: signed.root, above: signed.chain.join(''), lists: await lists(), leaf: signed.certificate },
      },
    );
  };
  await judge();
  const revoked = await server.json<DomainAuthority>(
    'domain',
    'revoke',
    OTHER,
    signed.id,
    '--cause',
    'key_theft',
    '--yes',
  );
  assert.deepEqual([revoked.state, revoked.revoked?.cause], ['ended', 'key_theft']);
  await assert.rejects(judge(), /certificate revoked/);
  const shown = await server.cli('domain', 'show', OTHER);
  assert.match(shown.stdout, /subordinate .*revoked .* ago: key_theft/);

  // Anybody has its bundle, also after a start.
  const again = await server.restart();
  const path = `/v1/trust/domains/${OTHER}/bundle.json`;
  const { authorities, jwtKeys } = parseSpiffeBundle(Buffer.from(await documentAt(`${again.open}${path}`)), path);
  const root = Buffer.from(decodePem(signed.root, 'CERTIFICATE'));
  assert.deepEqual([authorities.map((one) => Buffer.from(one)), jwtKeys], [[root], []]);
  const stolen = await again.cli('domain', 'sign', OTHER, '--csr', csr, '--json');
  assert.equal((JSON.parse(stolen.stderr) as { error: { code: string } }).error.code, 'key_in_use');
  writeFileSync(csr, await csrFor(newKey()));
  await again.json('domain', 'sign', OTHER, '--csr', csr, '--lifetime', '5m');
  assert.equal((await again.json<Domain>('domain', 'show', OTHER)).authorities.length, 4);

  // Another root is published ahead, beside the present one.
  const ahead = await again.json<Domain>('domain', 'rotate', OTHER, '--root');
  assert.ok(ahead.sequence > made.sequence);
  const both = parseSpiffeBundle(Buffer.from(await documentAt(`${again.open}${path}`)), path);
  assert.deepEqual([both.authorities.length, both.sequence], [2, ahead.sequence]);

  assert.equal((await again.json<Domain>('domain', 'close', OTHER, '--yes')).state, 'closed');
  const closed = await again.cli('domain', 'sign', OTHER, '--csr', csr, '--json');
  assert.equal((JSON.parse(closed.stderr) as { error: { code: string } }).error.code, 'inactive');
  await again.json('ledger', 'verify');
});

/** The list that a certificate names (RFC 5280 §4.2.1.13). */
async function listFor(pem: string): Promise<Uint8Array> {
  const { extensions } = parseCertificate(decodePem(pem, 'CERTIFICATE'));
  const value = Buffer.from(findExtension(extensions, CRL_DISTRIBUTION_POINTS)!.value).toString('latin1');
  const answer = await fetch(/http:\/\/[\w.:/[\]-]+\.crl/.exec(value)![0]);
  assert.equal(answer.status, 200);
  return new Uint8Array(await answer.arrayBuffer());
}

/** What a server answers to whoever shows this certificate. */
function statusFor(url: string, key: string, cert: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request(url, { rejectUnauthorized: false, key, cert, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    })
      .on('error', reject)
      .end();
  });
}

/** The first event of a type about a subject, as soon as it stands on the ledger. */
async function eventOf(server: TestServer, subject: string, type: string): Promise<Record<string, unknown>> {
  for (let tries = 0; tries < 200; tries++) {
    const { items } = await server.json<Events>('ledger', 'list', '--subject', subject);
    const found = items.find((one) => one.type === type);
    if (found !== undefined) return found.body;
    await pause(100);
  }
  throw new Error(`the ledger says nothing of ${subject}`);
}

interface Events {
  readonly items: readonly { readonly type: string; readonly body: Record<string, unknown> }[];
}

/** A document that anybody may have. */
function documentAt(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request(url, { rejectUnauthorized: false }, (answer) => {
      let text = '';
      answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
      answer.on('end', () => resolve(text));
    })
      .on('error', reject)
      .end();
  });
}
