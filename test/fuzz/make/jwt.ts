import { sign } from 'node:crypto';
import { assembleJws, signingInput } from '../../../src/jwt/jws.ts';
import { CORPUS_JWK, CORPUS_KEY } from '../targets/jwt.ts';
import type { Files } from './files.ts';

export function tokens(): Record<string, Files> {
  const input = signingInput(
    { alg: 'EdDSA', typ: 'secevent+jwt', kid: 'corpus' },
    { iss: 'corpus', aud: 'https://r.example', jti: '1', iat: 1, events: { 'urn:e': { a: [1, true, null] } } },
  );
  const good = assembleJws(input, sign(null, Buffer.from(input), CORPUS_KEY));
  const { kid: _, ...unnamed } = CORPUS_JWK;
  const p256 = {
    kty: 'EC',
    crv: 'P-256',
    x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
    y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
  };
  return {
    jws: {
      'ok-signed': good,
      'refused-cut': good.slice(0, -1),
      'refused-none': `${Buffer.from('{"alg":"none","typ":"secevent+jwt"}').toString('base64url')}.e30.`,
      'refused-parts': 'a.b',
    },
    jwks: {
      'ok-ed25519': JSON.stringify({ keys: [CORPUS_JWK] }),
      'ok-two': JSON.stringify({ keys: [p256, unnamed] }),
      'refused-empty': '{"keys":[]}',
      'refused-private': JSON.stringify({ keys: [{ ...p256, d: 'AAAA' }] }),
    },
  };
}
