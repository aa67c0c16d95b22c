import assert from 'node:assert/strict';
import { constants, createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { fromBase64url, toBase64url } from './base64url.ts';
import { ALL_ALGORITHMS, type JwsAlgorithm, parseJwks, type VerificationKey } from './jwk.ts';
import { assembleJws, isSigned, LONGEST_TOKEN, signingInput, verifyJws } from './jws.ts';

const TYP = 'secevent+jwt';

interface Pair {
  readonly privateKey: KeyObject;
  readonly keys: readonly VerificationKey[];
}

const CURVES: Readonly<Record<string, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' };

function pair(algorithm: JwsAlgorithm, kid = 'k1'): Pair {
  const namedCurve = CURVES[algorithm];
  const { privateKey, publicKey } =
    namedCurve !== undefined
      ? generateKeyPairSync('ec', { namedCurve })
      : algorithm === 'EdDSA'
        ? generateKeyPairSync('ed25519')
        : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid, alg: algorithm };
  return { privateKey, keys: parseJwks(Buffer.from(JSON.stringify({ keys: [jwk] })), 'test', ALL_ALGORITHMS) };
}

function signed(input: string, algorithm: JwsAlgorithm, key: KeyObject): string {
  const octets = Buffer.from(input);
  if (algorithm === 'EdDSA') return assembleJws(input, sign(null, octets, key));
  const hash = `sha${algorithm.slice(2)}`;
  if (algorithm.startsWith('RS')) return assembleJws(input, sign(hash, octets, key));
  if (algorithm.startsWith('ES')) return assembleJws(input, sign(hash, octets, { key, dsaEncoding: 'ieee-p1363' }));
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  return assembleJws(input, sign(hash, octets, { key, padding, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }));
}

const PAIRS = Object.fromEntries(ALL_ALGORITHMS.map((one) => [one, pair(one)])) as Readonly<Record<JwsAlgorithm, Pair>>;
const ALGORITHMS = ALL_ALGORITHMS;

const header = (alg: string, more: object = {}): string =>
  toBase64url(JSON.stringify({ alg, typ: TYP, kid: 'k1', ...more }));
const faultOf = (token: string, keys: readonly VerificationKey[]): string => {
  const result = verifyJws(token, { keys, typ: TYP });
  return result.ok ? 'none' : result.fault;
};

describe('published examples', () => {
  const cases = [
    {
      name: 'RFC 7515 A.3, ES256',
      jwk: {
        kty: 'EC',
        crv: 'P-256',
        x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
        y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
      },
      input:
        'eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ',
      signature: 'DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q',
    },
    {
      name: 'RFC 8037 A.4, Ed25519',
      jwk: { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' },
      input: 'eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc',
      signature: 'hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg',
    },
  ];
  for (const { name, jwk, input, signature } of cases) {
    test(name, () => {
      const [key] = parseJwks(Buffer.from(JSON.stringify({ keys: [jwk] })), 'test');
      assert.equal(isSigned(key!, input, fromBase64url(signature)!), true);
      assert.equal(isSigned(key!, `${input}A`, fromBase64url(signature)!), false);
    });
  }
});

describe('a signed token', () => {
  for (const algorithm of ALGORITHMS) {
    const { privateKey, keys } = PAIRS[algorithm];
    const good = signed(`${header(algorithm)}.${toBase64url('{"iss":"a","n":1}')}`, algorithm, privateKey);

    test(`${algorithm}: is believed, and nothing else is`, () => {
      assert.deepEqual(verifyJws(good, { keys, typ: TYP }), { ok: true, claims: { iss: 'a', n: 1 }, kid: 'k1' });
      assert.equal(faultOf(good, pair(algorithm).keys), 'signature');
      assert.equal(faultOf(good, pair(algorithm, 'k2').keys), 'key');
    });

    test(`${algorithm}: every single altered character is noticed`, () => {
      fc.assert(
        fc.property(fc.nat(good.length - 1), fc.constantFrom(...'AZaz09-_.=+ '), (at, character) => {
          fc.pre(good[at] !== character);
          const altered = good.slice(0, at) + character + good.slice(at + 1);
          assert.notEqual(faultOf(altered, keys), 'none');
        }),
        { numRuns: 200 },
      );
    });

    test(`${algorithm}: is not believed when cut short or continued`, () => {
      for (let length = 0; length < good.length; length += 7)
        assert.notEqual(faultOf(good.slice(0, length), keys), 'none');
      for (const more of ['.', 'A', '=', ' ', '\n', '.AA']) assert.notEqual(faultOf(good + more, keys), 'none');
    });
  }
});

describe('algorithms', () => {
  const set = (jwk: object, believed?: readonly JwsAlgorithm[]): readonly VerificationKey[] =>
    parseJwks(Buffer.from(JSON.stringify({ keys: [jwk] })), 'test', believed);
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = { ...rsa.publicKey.export({ format: 'jwk' }), kid: 'k1' };
  const token = (algorithm: JwsAlgorithm): string =>
    signed(`${header(algorithm)}.${toBase64url('{"iss":"a"}')}`, algorithm, rsa.privateKey);

  test('a key that names none is for those of its kind that are believed, and for no other', () => {
    for (const algorithm of ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const) {
      assert.equal(faultOf(token(algorithm), set(jwk, ALL_ALGORITHMS)), 'none');
      assert.equal(faultOf(token(algorithm), set(jwk)), algorithm === 'RS256' ? 'none' : 'key');
    }
  });

  test('a key that names one is for that one', () => {
    const keys = set({ ...jwk, alg: 'PS256' }, ALL_ALGORITHMS);
    assert.equal(faultOf(token('PS256'), keys), 'none');
    assert.equal(faultOf(token('RS256'), keys), 'key');
  });

  test('a signature of one algorithm under the name of another is noticed', () => {
    const [, payload, signature] = token('RS256').split('.');
    for (const other of ['RS384', 'PS256'] as const) {
      assert.equal(faultOf(`${header(other)}.${payload}.${signature}`, set(jwk, ALL_ALGORITHMS)), 'signature');
    }
  });
});

test('a token without a type is taken where none is due, and one of another type never', () => {
  const { privateKey, keys } = PAIRS.ES256;
  const tokenOf = (typ: string | undefined): string =>
    signed(
      `${toBase64url(JSON.stringify({ alg: 'ES256', typ, kid: 'k1' }))}.${toBase64url('{"iss":"a"}')}`,
      'ES256',
      privateKey,
    );
  const taken = (typ: string | undefined): boolean => verifyJws(tokenOf(typ), { keys, typ: ['jwt', undefined] }).ok;
  assert.deepEqual([undefined, 'JWT', 'application/jwt'].map(taken), [true, true, true]);
  assert.deepEqual(['at+jwt', 'secevent+jwt', 'logout+jwt', ''].map(taken), [false, false, false, false]);
  assert.equal(verifyJws(tokenOf(undefined), { keys, typ: ['jwt'] }).ok, false);
});

test('whatever claims go in come out', () => {
  const { privateKey, keys } = PAIRS.EdDSA;
  const claim = fc.oneof(fc.string({ unit: 'grapheme' }), fc.integer(), fc.boolean(), fc.array(fc.string()));
  const claims = fc.dictionary(
    fc.string().filter((name) => name !== '__proto__'),
    claim,
  );
  fc.assert(
    fc.property(claims, (given) => {
      const token = signed(signingInput({ alg: 'EdDSA', typ: TYP, kid: 'k1' }, given), 'EdDSA', privateKey);
      const result = verifyJws(token, { keys, typ: TYP });
      assert.deepEqual(result.ok && { ...result.claims }, { ...given });
    }),
    { numRuns: 100 },
  );
});

describe('what is refused', () => {
  const { privateKey, keys } = PAIRS.ES256;
  const payload = toBase64url('{"iss":"a"}');
  const withHeader = (text: string): string => signed(`${text}.${payload}`, 'ES256', privateKey);
  const spki = PAIRS.RS256.keys[0]!.key.export({ type: 'spki', format: 'pem' });
  const hmacInput = `${header('HS256')}.${payload}`;

  const cases: readonly { name: string; token: string; fault: string; keys?: readonly VerificationKey[] }[] = [
    { name: 'no signature at all', token: `${header('none')}.${payload}.`, fault: 'key' },
    { name: 'none in capitals', token: `${header('NONE')}.${payload}.`, fault: 'key' },
    {
      name: 'HMAC under the public key',
      token: assembleJws(hmacInput, createHmac('sha256', spki).update(hmacInput).digest()),
      fault: 'key',
      keys: PAIRS.RS256.keys,
    },
    { name: 'another algorithm than the key is for', token: withHeader(header('RS256')), fault: 'key' },
    {
      name: 'an extension that must be understood',
      token: withHeader(header('ES256', { crit: ['exp'] })),
      fault: 'malformed',
    },
    { name: 'an unencoded payload', token: withHeader(header('ES256', { b64: false })), fault: 'malformed' },
    { name: 'another type', token: withHeader(header('ES256', { typ: 'JWT' })), fault: 'malformed' },
    { name: 'no type', token: withHeader(toBase64url('{"alg":"ES256","kid":"k1"}')), fault: 'malformed' },
    { name: 'a name that is no text', token: withHeader(header('ES256', { kid: 1 })), fault: 'malformed' },
    {
      name: 'the algorithm twice',
      token: withHeader(toBase64url(`{"alg":"none","alg":"ES256","typ":"${TYP}","kid":"k1"}`)),
      fault: 'malformed',
    },
    {
      name: 'a claim twice',
      token: signed(`${header('ES256')}.${toBase64url('{"iss":"a","iss":"b"}')}`, 'ES256', privateKey),
      fault: 'malformed',
    },
    {
      name: 'a payload that is a list',
      token: signed(`${header('ES256')}.${toBase64url('[]')}`, 'ES256', privateKey),
      fault: 'malformed',
    },
    {
      name: 'a DER signature',
      token: assembleJws(
        `${header('ES256')}.${payload}`,
        sign('sha256', Buffer.from(`${header('ES256')}.${payload}`), privateKey),
      ),
      fault: 'signature',
    },
    {
      name: 'numbers that are zero',
      token: assembleJws(`${header('ES256')}.${payload}`, new Uint8Array(64)),
      fault: 'signature',
    },
    { name: 'padding', token: `${withHeader(header('ES256'))}==`, fault: 'malformed' },
    { name: 'too much', token: 'A'.repeat(LONGEST_TOKEN + 1), fault: 'malformed' },
  ];
  for (const { name, token, fault, keys: theirs } of cases) {
    test(name, () => assert.equal(faultOf(token, theirs ?? keys), fault));
  }

  test('a key that the token brings itself', () => {
    const stranger = pair('ES256');
    const jwk = stranger.keys[0]!.key.export({ format: 'jwk' });
    const token = signed(`${header('ES256', { jwk })}.${payload}`, 'ES256', stranger.privateKey);
    assert.equal(faultOf(token, keys), 'signature');
  });

  test('a token without a name, where two keys could be meant', () => {
    const [a] = PAIRS.ES256.keys;
    const token = signed(`${toBase64url(`{"alg":"ES256","typ":"${TYP}"}`)}.${payload}`, 'ES256', privateKey);
    assert.equal(faultOf(token, [a!]), 'none');
    assert.equal(faultOf(token, [a!, { ...pair('ES256').keys[0]!, kid: 'other' }]), 'key');
  });
});
