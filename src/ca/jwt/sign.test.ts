import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { parseJwks, publicJwk } from '../../jwt/jwk.ts';
import { verifyJws } from '../../jwt/jws.ts';
import { generateKey, generateRsaKey } from '../../keys/generate.ts';
import { localSigner } from '../../keys/local.ts';
import { signJwt, tokenSignerOf } from './sign.ts';

const claims = { iss: 'https://writ.example', aud: 'https://r.example', jti: '1', iat: 1, events: { 'urn:e': {} } };

for (const [alg, make] of [
  ['ES256', () => generateKey('ecdsa-p256')],
  ['EdDSA', () => generateKey('ed25519')],
  ['RS256', generateRsaKey],
] as const) {
  test(`tokens signed with ${alg} verify under the published key`, async () => {
    const signer = localSigner(await make());
    assert.equal(publicJwk(signer.spki)['alg'], alg);
    const keys = parseJwks(Buffer.from(JSON.stringify({ keys: [publicJwk(signer.spki)] })), 'jwks');
    // Numbers of fewer than 32 octets come once in 128 signatures: they are filled up.
    for (let i = 0; i < 300; i++) {
      const token = await signJwt(tokenSignerOf(signer), { typ: 'secevent+jwt', claims: { ...claims, jti: `${i}` } });
      const result = verifyJws(token, { keys, typ: 'secevent+jwt' });
      assert.deepEqual(result.ok && result.claims['jti'], `${i}`);
    }
  });
}

test('a key of another kind signs no token', async () => {
  const signer = localSigner(await generateKey('ecdsa-p384'));
  assert.throws(
    () => tokenSignerOf(signer),
    (error) => isWritError(error, 'signer_failed'),
  );
});

test('JWT-SVIDs are signed with ES256 alone', async () => {
  const svid = { iss: claims.iss, sub: 'spiffe://a.example/x', aud: ['b'], jti: '1', iat: 1, exp: 2 };
  for (const key of [await generateKey('ed25519'), await generateRsaKey()]) {
    await assert.rejects(signJwt(tokenSignerOf(localSigner(key)), { typ: 'JWT', claims: svid }), (error) =>
      isWritError(error, 'signer_failed'),
    );
  }
});
