/** The root of somebody else's trust domain lies here, and their authority below it is judged by OpenSSL. */
import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { test } from 'node:test';
import { decodePem } from '../../src/der/pem.ts';
import { parseSpiffeBundle } from '../../src/jwt/spiffe-bundle.ts';
import type { Domain, SignedDomainAuthority } from '../../src/wire/domain.ts';
import { parseCertificate } from '../../src/x509/certificate.ts';
import { noOpenssl, openssl } from '../../src/x509/testdata/openssl.ts';
import { testServer } from '../server.ts';
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

  // Anybody has its bundle, also after a start.
  const again = await server.restart();
  const path = `/v1/trust/domains/${OTHER}/bundle.json`;
  const { authorities, jwtKeys } = parseSpiffeBundle(Buffer.from(await documentAt(`${again.open}${path}`)), path);
  const root = Buffer.from(decodePem(signed.root, 'CERTIFICATE'));
  assert.deepEqual([authorities.map((one) => Buffer.from(one)), jwtKeys], [[root], []]);
  await again.json('domain', 'sign', OTHER, '--csr', csr, '--lifetime', '5m');
  assert.equal((await again.json<Domain>('domain', 'show', OTHER)).authorities.length, 4);

  assert.equal((await again.json<Domain>('domain', 'close', OTHER, '--yes')).state, 'closed');
  const refused = await again.cli('domain', 'sign', OTHER, '--csr', csr, '--json');
  assert.equal((JSON.parse(refused.stderr) as { error: { code: string } }).error.code, 'inactive');
  await again.json('ledger', 'verify');
});

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
