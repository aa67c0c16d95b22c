import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { KEY_ALGORITHMS, type KeyAlgorithm } from '../../keys/generate.ts';
import { parseCertificate } from '../../x509/certificate.ts';
import { parseCsr } from '../../x509/csr.ts';
import { OCSP_NO_CHECK } from '../../x509/extensions/ocsp-no-check.ts';
import { encodeCertId } from '../../x509/ocsp-cert-id.ts';
import { parseOcspResponse } from '../../x509/ocsp-response.ts';
import { judgeOcspResponse } from '../../x509/ocsp-verify.ts';
import { signCertificate } from '../certificate/sign.ts';
import type { Issuer } from '../issuer.ts';
import { type Chain, issueLeaf, leafRequest, makeChain, random, START } from '../testdata/installation.ts';
import { prepareResponder } from './prepare.ts';
import { makeResponderKey, type OcspResponder } from './responder.ts';
import { OCSP_VALIDITY, signOcsp } from './sign.ts';

const GOOD = { kind: 'good' } as const;

async function responderOf(issuer: Issuer, algorithm: KeyAlgorithm, now = START): Promise<OcspResponder> {
  const key = await makeResponderKey(algorithm);
  const prepared = prepareResponder(issuer, parseCsr(key.csr).publicKey, { now, random });
  return key.open((await signCertificate(issuer, prepared)).der);
}

async function leafOf(chain: Chain) {
  return parseCertificate((await issueLeaf(chain, await leafRequest())).der);
}

for (const algorithm of KEY_ALGORITHMS) {
  test(`an answer under an ${algorithm} authority verifies, and is good for a minute`, async () => {
    const chain = await makeChain(algorithm);
    const certificate = await leafOf(chain);
    const issuer = chain.issuing.certificate;
    const responder = await responderOf(chain.issuer, algorithm);
    const nonce = new Uint8Array(random(32));
    const answers = [{ id: encodeCertId(certificate, issuer, 'sha256'), status: GOOD }];
    const { der, thisUpdate, nextUpdate } = signOcsp(responder, { answers, nonce, now: START });
    assert.equal(nextUpdate - thisUpdate, OCSP_VALIDITY);
    assert.equal(thisUpdate, START - 250);
    const judged = judgeOcspResponse(der, { certificate, issuer, now: START, nonce });
    assert.deepEqual(judged, { kind: 'answer', status: GOOD, thisUpdate, nextUpdate });
  });
}

test('the certificate of a responder says what RFC 6960 wants of it', async () => {
  const chain = await makeChain('ecdsa-p256');
  for (const issuer of [chain.issuer, chain.issuers.intermediate, chain.issuers.root]) {
    const key = await makeResponderKey('ecdsa-p256');
    const prepared = prepareResponder(issuer, parseCsr(key.csr).publicKey, { now: START, random });
    const certificate = parseCertificate((await signCertificate(issuer, prepared)).der);
    assert.equal(certificate.notAfter - certificate.notBefore, 6 * 3_600_000 + 30_000);
    assert.deepEqual(certificate.issuer.raw, issuer.name);
    assert.ok(certificate.extensions.some(({ oid }) => oid === OCSP_NO_CHECK));
  }
});

test('a responder’s certificate ends with its authority, and no answer outlives it', async () => {
  const chain = await makeChain('ecdsa-p256');
  const late = chain.issuer.notAfter - 20_000;
  const responder = await responderOf(chain.issuer, 'ecdsa-p256', late);
  const answers = [{ id: encodeCertId(await leafOf(chain), chain.issuing.certificate), status: GOOD }];
  assert.equal(signOcsp(responder, { answers, now: late }).nextUpdate, chain.issuer.notAfter);
  const refused = (now: number) =>
    assert.throws(
      () => signOcsp(responder, { answers, now }),
      (error) => isWritError(error, 'expired'),
    );
  refused(chain.issuer.notAfter);
  refused(late - 60_000);
});

test('what somebody else signed, about something else, or at another time is refused', async () => {
  const [chain, other] = [await makeChain('ecdsa-p256'), await makeChain('ecdsa-p256')];
  const certificate = await leafOf(chain);
  const issuer = chain.issuing.certificate;
  const responder = await responderOf(chain.issuer, 'ecdsa-p256');
  const sign = (by: OcspResponder, change: Partial<Parameters<typeof signOcsp>[1]> = {}) =>
    signOcsp(by, { answers: [{ id: encodeCertId(certificate, issuer), status: GOOD }], now: START, ...change }).der;
  const why = (der: Uint8Array, change = {}) => {
    const judged = judgeOcspResponse(der, { certificate, issuer, now: START, ...change });
    return judged.kind === 'refused' ? judged.why : judged.status.kind;
  };
  assert.equal(why(sign(responder)), 'good');
  assert.match(why(sign(await responderOf(other.issuer, 'ecdsa-p256'))), /did not certify/);
  assert.match(why(sign(await responderOf(chain.issuers.intermediate, 'ecdsa-p256'))), /did not certify/);
  assert.match(why(sign(responder), { certificate: await leafOf(chain) }), /not about this/);
  assert.match(why(sign(responder), { nonce: new Uint8Array(32) }), /nonce/);
  assert.match(why(sign(responder, { nonce: new Uint8Array(32).fill(1) }), { nonce: new Uint8Array(32) }), /nonce/);
  assert.match(why(sign(responder), { now: START + 120_000 }), /out of date/);
  assert.match(why(sign(responder, { now: START + 60_000 })), /from the future/);
  const spoiled = sign(responder).slice();
  const { basic } = parseOcspResponse(spoiled) as { basic: { signature: Uint8Array } };
  basic.signature[10]! ^= 1;
  assert.match(why(spoiled), /does not verify/);
  assert.match(why(Uint8Array.of(0x30, 3, 0x0a, 1, 3)), /tryLater/);
  assert.match(why(new Uint8Array(9)), /malformed/);
  assert.match(why(sign(responder), { now: START + 7 * 3_600_000 }), /not valid now/);
});

test('a responder takes no certificate but its own', async () => {
  const chain = await makeChain('ecdsa-p256');
  const key = await makeResponderKey('ecdsa-p256');
  assert.throws(
    () => key.open(chain.issuing.certificate.raw),
    (error) => isWritError(error, 'signer_failed'),
  );
});

test('nothing but ocsp/sign.ts signs with a responder’s key', () => {
  const src = join(import.meta.dirname, '../..');
  const users = readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
    .filter((file) => readFileSync(join(src, file), 'utf8').includes('OcspResponder.sign('));
  assert.deepEqual(users, [join('ca', 'ocsp', 'sign.ts')]);
});
