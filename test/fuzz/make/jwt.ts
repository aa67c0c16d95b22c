import { sign } from 'node:crypto';
import { assembleJws, signingInput } from '../../../src/jwt/jws.ts';
import { CORPUS_P256 } from '../targets/federation.ts';
import { CORPUS_JWK, CORPUS_KEY } from '../targets/jwt.ts';
import type { Files } from './files.ts';
import { certificates } from './x509.ts';

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
  const x509 = {
    ...p256,
    use: 'x509-svid',
    x5c: [Buffer.from(certificates()['certificate']!['ok-root']!).toString('base64')],
  };
  const svidInput = signingInput(
    { alg: 'ES256', typ: 'JWT', kid: 'corpus' },
    { sub: 'spiffe://agents.test/x', aud: ['corpus'], exp: 4_102_444_800 },
  );
  const es256 = { key: CORPUS_P256, dsaEncoding: 'ieee-p1363' } as const;
  const svid = assembleJws(svidInput, sign('sha256', Buffer.from(svidInput), es256));
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
    'jwt-svid': {
      'ok-signed': svid,
      'refused-cut': svid.slice(0, -1),
      'refused-algorithm': good,
      'refused-none': `${Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')}.e30.`,
    },
    'spiffe-bundle': {
      'ok-empty': '{"spiffe_sequence":8,"spiffe_refresh_hint":300,"keys":[]}',
      'ok-keys': JSON.stringify({ spiffe_sequence: 9, keys: [{ ...p256, kid: 'a', use: 'jwt-svid' }, x509] }),
      'refused-back': JSON.stringify({ spiffe_sequence: 6, keys: [x509] }),
      'refused-private': JSON.stringify({
        spiffe_sequence: 9,
        keys: [{ ...p256, d: 'AAAA', kid: 'a', use: 'jwt-svid' }],
      }),
      'refused-unnumbered': '{"keys":[]}',
    },
  };
}
