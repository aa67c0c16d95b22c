import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { WritError } from '../../../src/base/error.ts';
import { type PublicJwk, parseJwks, publicJwk } from '../../../src/jwt/jwk.ts';
import { verifyJws } from '../../../src/jwt/jws.ts';
import { demand, type Target } from '../target.ts';

/** Ed25519 with a seed of nines: what the corpus is signed with. */
export const CORPUS_KEY: KeyObject = createPrivateKey({
  key: Buffer.from(`302e020100300506032b657004220420${'09'.repeat(32)}`, 'hex'),
  format: 'der',
  type: 'pkcs8',
});

const spki = createPublicKey(CORPUS_KEY).export({ type: 'spki', format: 'der' });
export const CORPUS_JWK: PublicJwk = { ...publicJwk(spki), kid: 'corpus' };
const KEYS = parseJwks(Buffer.from(JSON.stringify({ keys: [CORPUS_JWK] })), 'corpus');

/** Input: a token. Only what the corpus' key signed may be accepted. */
export const jws: Target = {
  name: 'jws',
  form: 'text',
  longest: 8192,
  codes: ['bad_token'],
  words: ['.', '..', '=', '-', '_', 'eyJhbGciOiJub25lIn0', 'eyJhbGciOiJFZERTQSIsInR5cCI6InNlY2V2ZW50K2p3dCJ9', 'e30'],
  run(input) {
    const result = verifyJws(Buffer.from(input).toString('latin1'), { keys: KEYS, typ: 'secevent+jwt' });
    if (!result.ok) throw new WritError('bad_token', result.why);
    demand(result.claims['iss'] === 'corpus', 'a token that nobody signed was accepted');
  },
};

/** Input: a JWK Set. */
export const jwks: Target = {
  name: 'jwks',
  form: 'json',
  longest: 16_384,
  codes: ['bad_config'],
  run(input) {
    const keys = parseJwks(input, 'jwks');
    demand(keys.length > 0 && keys.every(({ key }) => key.type === 'public'), 'a set holds something but public keys');
  },
};
