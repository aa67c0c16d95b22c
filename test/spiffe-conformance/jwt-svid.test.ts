/** The rules of the JWT-SVID document, each with its clause: of what Writ accepts, and of what it issues. */
import assert from 'node:assert/strict';
import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { VerificationKey } from '../../src/jwt/jwk.ts';
import { type JwtSvidFault, type ValidateOptions, validateJwtSvid } from '../../src/jwt/jwt-svid.ts';
import { parseSpiffeBundle, SVID_ALGORITHMS } from '../../src/jwt/spiffe-bundle.ts';
import { type Door, openDoor } from '../../src/rest/testdata/door.ts';
import { signedToken } from './token.ts';

const SUB = 'spiffe://example.com/x';
const AUD = 'https://reports.example.com';
const now = Date.now();
const seconds = Math.floor(now / 1000);
const good = { sub: SUB, aud: AUD, exp: seconds + 300 };

interface Pair {
  readonly privateKey: KeyObject;
  readonly keys: readonly VerificationKey[];
}

function pair(alg: string, kid = 'k'): Pair {
  const curve = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }[alg];
  const { privateKey, publicKey } =
    curve === undefined
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: curve });
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid, use: 'jwt-svid' };
  return { privateKey, keys: parseSpiffeBundle(Buffer.from(JSON.stringify({ keys: [jwk] })), 'bundle').jwtKeys };
}

const { privateKey, keys } = pair('ES256');

function judge(token: string, more: Partial<ValidateOptions> = {}): JwtSvidFault | 'none' {
  const options = {
    audience: AUD,
    now,
    keys: (domain: string) => (domain === 'example.com' ? keys : undefined),
    ...more,
  };
  const result = validateJwtSvid(token, options);
  return result.ok ? 'none' : result.fault;
}

const token = (
  claims: Readonly<Record<string, unknown>> = {},
  header: Readonly<Record<string, unknown>> = {},
): string => signedToken(privateKey, { kid: 'k', ...header }, { ...good, ...claims });

describe('what Writ accepts', () => {
  test('a good one, and what it says', () => {
    const result = validateJwtSvid(token({ jti: '1' }), { audience: AUD, now, keys: () => keys });
    assert.ok(result.ok);
    assert.deepEqual(
      [result.id.uri, result.audience, result.expiresAt, result.claims['jti']],
      [SUB, [AUD], good.exp * 1000, '1'],
    );
  });

  test('JWT-SVID §1, §5.1: compact serialization alone', () => {
    const [header, payload, signature] = token().split('.');
    const json = JSON.stringify({ payload, signatures: [{ protected: header, signature }] });
    for (const bad of [
      json,
      JSON.stringify({ payload, protected: header, signature }),
      `${header}.${payload}`,
      `${token()}.`,
      '',
      '..',
      'a.b.c',
    ]) {
      assert.equal(judge(bad), 'malformed', bad.slice(0, 20));
    }
  });

  test('JWT-SVID §2: no header but alg, kid and typ', () => {
    for (const header of [
      { jku: 'https://evil.example/keys' },
      { jwk: {} },
      { x5c: [] },
      { x5u: 'x' },
      { cty: 'JWT' },
      { x: 1 },
    ]) {
      assert.equal(judge(token({}, header)), 'header', JSON.stringify(header));
    }
    assert.notEqual(judge(token({}, { crit: ['exp'] })), 'none');
  });

  test('JWT-SVID §2: JWS alone, no encryption', () => {
    const header = Buffer.from('{"alg":"RSA-OAEP","enc":"A256GCM"}').toString('base64url');
    assert.equal(judge(`${header}.a.b.c.d`), 'malformed');
  });

  for (const alg of SVID_ALGORITHMS) {
    test(`JWT-SVID §2.1: ${alg} is supported`, () => {
      const one = pair(alg);
      const made = signedToken(one.privateKey, { alg, kid: 'k' }, good);
      assert.equal(judge(made, { keys: () => one.keys }), 'none');
      assert.notEqual(judge(made, { keys: () => pair(alg).keys }), 'none', 'by another key');
    });
  }

  test('JWT-SVID §2.1, §4: any other algorithm is refused before anything is processed', () => {
    const hmac = (alg: string): string => {
      const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'pem' });
      const input = [{ alg, kid: 'k' }, good]
        .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
        .join('.');
      return `${input}.${createHmac('sha256', spki).update(input).digest('base64url')}`;
    };
    const { privateKey: ed } = generateKeyPairSync('ed25519');
    const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify(good)).toString('base64url')}.`;
    for (const bad of [
      unsigned,
      hmac('HS256'),
      hmac('HS512'),
      signedToken(ed, { alg: 'EdDSA', kid: 'k' }, good),
      token({}, { alg: 'es256' }),
    ]) {
      assert.equal(judge(bad), 'algorithm');
    }
    const [, payload, signature] = token().split('.');
    const without = Buffer.from('{"kid":"k"}').toString('base64url');
    assert.equal(judge(`${without}.${payload}.${signature}`), 'algorithm');
  });

  test('JWT-SVID §2.1: the algorithm goes with the key', () => {
    const rsa = pair('RS256');
    const other = signedToken(rsa.privateKey, { alg: 'RS256', kid: 'k' }, good);
    assert.equal(judge(other), 'key');
  });

  test('JWT-SVID §2.2: kid is optional where there is no choice', () => {
    const bare = signedToken(privateKey, {}, good);
    assert.equal(judge(bare), 'none');
    const two = [...keys, ...pair('ES256', 'other').keys];
    assert.equal(judge(bare, { keys: () => two }), 'key');
    assert.equal(judge(token({}, { kid: 'unknown' })), 'key');
    assert.equal(judge(token(), { keys: () => two }), 'none');
  });

  test('JWT-SVID §2.3: typ is absent, JWT or JOSE', () => {
    for (const typ of ['JWT', 'JOSE']) assert.equal(judge(token({}, { typ })), 'none');
    for (const typ of ['jwt', 'at+jwt', 'wit+jwt', 'secevent+jwt', 'application/JWT', '', 1, null]) {
      assert.equal(judge(token({}, { typ })), 'header', String(typ));
    }
  });

  test('JWT-SVID §3: further claims are no obstacle', () => {
    assert.equal(judge(token({ iss: 'https://x.example', jti: '1', 'https://x.example/colour': 'blue' })), 'none');
  });

  test('JWT-SVID §3.1: the subject is the SPIFFE ID of a workload', () => {
    for (const sub of [
      undefined,
      '',
      'x',
      1,
      null,
      'https://example.com/x',
      'spiffe://example.com',
      'spiffe://example.com/',
      'spiffe://Example.com/x',
      [SUB],
    ]) {
      assert.equal(judge(token({ sub })), 'subject', String(sub));
    }
  });

  test('JWT-SVID §3.1, Federation §7.3: the keys are those of the subject’s trust domain alone', () => {
    assert.equal(judge(token({ sub: 'spiffe://other.example/x' })), 'trust_domain');
    const theirs = pair('ES256').keys;
    const both = (domain: string) => (domain === 'example.com' ? theirs : keys);
    assert.equal(judge(token(), { keys: both }), 'signature');
  });

  test('JWT-SVID §3.2: there is an audience, and one of it is exactly who validates', () => {
    for (const aud of [
      undefined,
      '',
      'x',
      [],
      ['x'],
      [AUD, 1],
      1,
      null,
      {},
      `${AUD}/`,
      AUD.toUpperCase(),
      AUD.slice(0, -1),
      [[AUD]],
    ]) {
      assert.equal(judge(token({ aud })), 'audience', JSON.stringify(aud));
    }
    for (const aud of [AUD, [AUD], ['x', AUD]]) assert.equal(judge(token({ aud })), 'none');
    assert.equal(judge(token({ aud: '' }), { audience: '' }), 'audience', 'nobody is nobody');
  });

  test('JWT-SVID §3.3: exp is there, is a time and has not passed', () => {
    for (const exp of [undefined, `${seconds + 300}`, null, Number.NaN, -1, seconds - 6, 0, [seconds + 300]]) {
      assert.equal(judge(token({ exp })), 'expired', String(exp));
    }
    assert.equal(judge(token({ exp: seconds + 1 })), 'none');
  });

  test('JWT-SVID Appendix A: a small leeway, which whoever validates sets', () => {
    assert.equal(judge(token({ exp: seconds - 3 })), 'none');
    assert.equal(judge(token({ exp: seconds - 3 }), { leeway: 0 }), 'expired');
    assert.equal(judge(token({ exp: seconds - 50 }), { leeway: 60 }), 'none');
  });

  test('RFC 7519 §4.1.5, §4.1.6: a token from the future is refused', () => {
    for (const claim of ['nbf', 'iat']) {
      assert.equal(judge(token({ [claim]: seconds - 10 })), 'none');
      assert.equal(judge(token({ [claim]: seconds + 60 })), 'not_yet');
      assert.equal(judge(token({ [claim]: 'soon' })), 'malformed');
    }
  });

  test('RFC 7519 §4, RFC 8725: a claim or header that stands twice makes it no token', () => {
    const twice = `{"sub":"${SUB}","sub":"spiffe://example.com/y","aud":"${AUD}","exp":${good.exp}}`;
    assert.equal(judge(signedToken(privateKey, { kid: 'k' }, twice)), 'malformed');
    for (const payload of ['[]', '"x"', 'null', '', '{']) {
      assert.equal(judge(signedToken(privateKey, { kid: 'k' }, payload)), 'malformed', payload);
    }
  });

  test('JWT-SVID §4: every altered octet of the signed parts is noticed', () => {
    const made = token();
    for (let at = 0; at < made.length; at += 3) {
      const altered = `${made.slice(0, at)}${made[at] === 'A' ? 'B' : 'A'}${made.slice(at + 1)}`;
      assert.notEqual(judge(altered), 'none', `${at}`);
    }
  });

  test('JWT-SVID §6.2: keys of other uses verify no token', () => {
    const jwk = createPublicKey(privateKey).export({ format: 'jwk' });
    for (const use of ['sig', 'x509-svid', undefined]) {
      const bundle = { keys: [{ ...jwk, kid: 'k', ...(use === undefined ? {} : { use }) }] };
      const { jwtKeys } = parseSpiffeBundle(Buffer.from(JSON.stringify(bundle)), 'bundle');
      assert.equal(judge(token(), { keys: () => jwtKeys }), 'key');
    }
  });

  test('JWT-SVID §6.1: a key of tokens without name makes a bundle no bundle', () => {
    const jwk = { ...createPublicKey(privateKey).export({ format: 'jwk' }), use: 'jwt-svid' };
    assert.throws(() => parseSpiffeBundle(Buffer.from(JSON.stringify({ keys: [jwk] })), 'bundle'), /without "kid"/);
  });
});

describe('what Writ issues', () => {
  let door: Door;
  let parts: readonly Record<string, unknown>[];
  let spiffe: string;
  before(async () => {
    door = await openDoor();
    const body = { name: 'planner', owner: { team: 'research', sponsor: 'alice@example.com' }, purpose: 'plans' };
    await door.json('/v1/agents', { method: 'POST', body, client: door.operator });
    const client = await door.letIn('planner');
    const answer = await door.json('/v1/jwt-svids', { method: 'POST', body: { audience: [AUD] }, client });
    spiffe = answer.body.spiffe_id;
    parts = (answer.body.token as string)
      .split('.')
      .slice(0, 2)
      .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>);
  });
  after(() => door[Symbol.asyncDispose]());

  test('JWT-SVID §2: the header has alg, kid and typ and nothing else', () => {
    assert.deepEqual(Object.keys(parts[0]!).sort(), ['alg', 'kid', 'typ']);
    assert.deepEqual([parts[0]!['alg'], parts[0]!['typ']], ['ES256', 'JWT']);
  });

  test('JWT-SVID §3: sub, aud and exp are there, and exp is near', () => {
    const { sub, aud, exp, iat } = parts[1]!;
    assert.equal(sub, spiffe);
    assert.deepEqual(aud, [AUD]);
    assert.ok((exp as number) - (iat as number) <= 300);
  });
});
