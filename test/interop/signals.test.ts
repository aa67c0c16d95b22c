/** Security event tokens: ours verify with Python's cryptography, and what that signs verifies here. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { type SecurityEventToken, signJwt, tokenSignerOf } from '../../src/ca/jwt/sign.ts';
import { parseJwks, publicJwk } from '../../src/jwt/jwk.ts';
import { verifyJws } from '../../src/jwt/jws.ts';
import { generateKey, generateRsaKey } from '../../src/keys/generate.ts';
import { localSigner } from '../../src/keys/local.ts';
import { contentOf } from '../../src/status/ssf/events.ts';
import { pathOf, python, skipOf } from './tools.ts';

const PYTHON = python();
const SCRIPT = join(import.meta.dirname, 'python', 'tokens.py');

function ask<T>(what: 'verify' | 'sign', input: unknown): T {
  const { status, stdout, stderr } = spawnSync(pathOf(PYTHON), [SCRIPT, what], {
    input: JSON.stringify(input),
    encoding: 'utf8',
    timeout: 30_000,
  });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as T;
}

const stop = { leaf: 7, act: 6, type: 'certificate.revoked', effect: 'stop', at: 1_800_000_000_000 } as const;
const names = {
  spiffeId: 'spiffe://agents.example.com/agent/planner/01jd0000000000000000000000',
  issuer: 'CN=Issuing Ä',
};
const content = contentOf({ ...stop, subjects: ['serial:0123'] }, 'serial:0123', names)!;

/** The members of RFC 8417 §2.2 and of a CAEP event, as the published examples have them. */
const claims: SecurityEventToken['claims'] = {
  iss: 'https://writ.agents.example.com:8443',
  aud: 'https://receiver.example.com/events',
  jti: '01jd0000000000000000000000.7.0',
  iat: 1_800_000_000,
  ...content.claims,
};

test('what we sign verifies there', { skip: skipOf(PYTHON) }, async () => {
  for (const make of [() => generateKey('ecdsa-p256'), () => generateKey('ed25519'), generateRsaKey]) {
    const signer = localSigner(await make());
    const tokens: string[] = [];
    for (let i = 0; i < 20; i++) {
      tokens.push(await signJwt(tokenSignerOf(signer), { typ: 'secevent+jwt', claims: { ...claims, jti: `${i}` } }));
    }
    const read = ask<unknown[]>('verify', { jwks: { keys: [publicJwk(signer.spki)] }, tokens });
    assert.deepEqual(
      read,
      tokens.map((_, i) => ({ ...claims, jti: `${i}` })),
    );
  }
});

test('what is signed there verifies here', { skip: skipOf(PYTHON) }, () => {
  const { jwks, tokens } = ask<{ jwks: object; tokens: Record<string, string> }>('sign', claims);
  const keys = parseJwks(Buffer.from(JSON.stringify(jwks)), 'theirs');
  assert.deepEqual(Object.keys(tokens).sort(), ['ES256', 'EdDSA', 'RS256']);
  for (const [algorithm, token] of Object.entries(tokens)) {
    const result = verifyJws(token, { keys, typ: 'secevent+jwt' });
    assert.deepEqual(result.ok && result.claims, claims, algorithm);
  }
});
