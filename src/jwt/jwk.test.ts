import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, test } from 'node:test';
import { isWritError } from '../base/error.ts';
import { parseJwks, publicJwk } from './jwk.ts';

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwk = { ...ec.publicKey.export({ format: 'jwk' }), kid: 'a' } as Record<string, unknown>;
const parse = (...keys: unknown[]) => parseJwks(Buffer.from(JSON.stringify({ keys })), 'jwks');

describe('a set of keys', () => {
  const rsa = (modulusLength: number) =>
    generateKeyPairSync('rsa', { modulusLength }).publicKey.export({ format: 'jwk' });
  const refused: readonly { name: string; keys: unknown[] }[] = [
    { name: 'private', keys: [ec.privateKey.export({ format: 'jwk' })] },
    { name: 'symmetric', keys: [{ kty: 'oct', k: 'AAAA' }] },
    { name: 'empty', keys: [] },
    { name: 'of a kind that is not used', keys: [{ kty: 'XYZ' }] },
    { name: 'for encryption', keys: [{ ...jwk, use: 'enc' }] },
    { name: 'for another algorithm', keys: [{ ...jwk, alg: 'HS256' }] },
    { name: 'not for verifying', keys: [{ ...jwk, key_ops: ['sign'] }] },
    { name: 'a point off its curve', keys: [{ ...jwk, y: jwk['x'] }] },
    { name: 'a short coordinate', keys: [{ ...jwk, x: 'AAAA' }] },
    { name: 'a coordinate with padding', keys: [{ ...jwk, x: `${String(jwk['x'])}=` }] },
    { name: 'two of one name', keys: [jwk, jwk] },
    { name: 'a name that is no text', keys: [{ ...jwk, kid: 7 }] },
    { name: 'a weak RSA key', keys: [rsa(1024)] },
    { name: 'an RSA exponent of 1', keys: [{ ...rsa(2048), e: 'AQ' }] },
    { name: 'no object', keys: ['x'] },
    { name: 'too many', keys: Array.from({ length: 65 }, (_, i) => ({ ...jwk, kid: `${i}` })) },
  ];
  for (const { name, keys } of refused) {
    test(`is refused: ${name}`, () =>
      assert.throws(
        () => parse(...keys),
        (error) => isWritError(error, 'bad_config'),
      ));
  }

  test('passes over what it cannot use and keeps the rest', () => {
    const keys = parse({ kty: 'EC', crv: 'P-521' }, { ...jwk, use: 'enc', kid: 'b' }, jwk);
    assert.deepEqual(
      keys.map(({ kid, algorithms }) => [kid, algorithms]),
      [['a', ['ES256']]],
    );
  });
});

describe('a published key', () => {
  test('has the thumbprint of RFC 8037 A.3', () => {
    const key = createPublicKey({
      key: { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' },
      format: 'jwk',
    });
    const made = publicJwk(key.export({ type: 'spki', format: 'der' }));
    assert.equal(made['kid'], 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k');
  });

  test('has the thumbprint of RFC 7638 §3.1', () => {
    const n =
      '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMst' +
      'n64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn' +
      '1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw';
    const key = createPublicKey({ key: { kty: 'RSA', n, e: 'AQAB' }, format: 'jwk' });
    const made = publicJwk(key.export({ type: 'spki', format: 'der' }));
    assert.equal(made['kid'], 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs');
    assert.equal(made['alg'], 'RS256');
  });

  test('is read back as the same key, and holds nothing secret', () => {
    const made = publicJwk(ec.publicKey.export({ type: 'spki', format: 'der' }));
    assert.deepEqual(Object.keys(made).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
    const [read] = parse(made);
    assert.equal(read!.key.equals(ec.publicKey), true);
  });
});
