import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { KEY_ALGORITHMS } from '../../keys/generate.ts';
import { verifySignature } from '../../x509/algorithm.ts';
import { parseCrl } from '../../x509/crl.ts';
import { decodeCrlNumber } from '../../x509/extensions/crl-number.ts';
import { RFC5280 } from '../../x509/path/policy.ts';
import { validatePath } from '../../x509/path/validate.ts';
import { parsePublicKey } from '../../x509/public-key.ts';
import { DAY, makeChain, START } from '../testdata/installation.ts';
import { nextCrlNumber, signCrl } from './sign.ts';

for (const algorithm of KEY_ALGORITHMS) {
  test(`a list signed with ${algorithm} verifies and says what it should`, async () => {
    const { root, issuers } = await makeChain(algorithm);
    const signed = await signCrl(issuers.root, { number: 7, lifetime: 365 * 86_400, revoked: [], now: START });
    const crl = parseCrl(signed.der);
    assert.ok(verifySignature(crl.signatureAlgorithm, parsePublicKey(root.certificate.spki), crl.tbs, crl.signature));
    assert.deepEqual(crl.issuer.raw, root.certificate.subject.raw);
    assert.deepEqual([crl.thisUpdate, crl.nextUpdate], [signed.thisUpdate, signed.nextUpdate]);
    assert.deepEqual([crl.thisUpdate, crl.nextUpdate], [START - 30_250, START - 250 + 365 * DAY]);
    const number = crl.extensions.find(({ oid }) => oid === '2.5.29.20')!;
    assert.equal(decodeCrlNumber(number.value), 7n);
  });
}

test('an authority on the list of the one above is refused by a relying party', async () => {
  const { root, intermediate, issuing, issuers } = await makeChain('ecdsa-p256');
  const judge = async (revoked: boolean) => {
    const { serial } = issuing.certificate;
    const lists = [
      await signCrl(issuers.root, { number: 1, lifetime: 3600, revoked: [], now: START }),
      await signCrl(issuers.intermediate, {
        number: 1,
        lifetime: 3600,
        revoked: revoked ? [{ serial, revokedAt: START - 250, reason: 'keyCompromise' }] : [],
        now: START,
      }),
    ];
    const result = validatePath({
      leaf: issuing.certificate,
      intermediates: [intermediate.certificate],
      anchors: [root.certificate],
      at: START,
      policy: RFC5280,
      crls: lists.map(({ der }) => parseCrl(der)),
    });
    return result.valid ? 'valid' : result.reason;
  };
  assert.deepEqual([await judge(false), await judge(true)], ['valid', 'revoked']);
});

test('a list ends with its issuer, and is not signed after that', async () => {
  const { issuer } = await makeChain('ecdsa-p256');
  const request = { number: 1, lifetime: 30 * 86_400, revoked: [] };
  assert.equal((await signCrl(issuer, { ...request, now: issuer.notAfter - DAY })).nextUpdate, issuer.notAfter);
  await assert.rejects(signCrl(issuer, { ...request, now: issuer.notAfter + 1 }), (error) =>
    isWritError(error, 'expired'),
  );
});

test('numbers only grow, also when the clock or the database went back', () => {
  assert.equal(nextCrlNumber(undefined, START), START);
  assert.equal(nextCrlNumber(START - DAY, START), START);
  assert.equal(nextCrlNumber(START, START), START + 1);
  assert.equal(nextCrlNumber(START + DAY, START), START + DAY + 1);
});
