import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { WritError } from '../../../src/base/error.ts';
import { validateJwtSvid } from '../../../src/jwt/jwt-svid.ts';
import { parseSpiffeBundle } from '../../../src/jwt/spiffe-bundle.ts';
import { authoritiesIn, judgeBundle, type OwnTrust } from '../../../src/spiffe/judge-bundle.ts';
import type { TrustDomain } from '../../../src/spiffe-id/trust-domain.ts';
import { uriNames } from '../../../src/x509/svid.ts';
import { demand, type Target } from '../target.ts';

const OWN: OwnTrust = { trustDomain: 'ours.test' as TrustDomain, keys: [] };

/** Input: what the bundle endpoint of another trust domain answers, where a bundle of sequence 7 is known. */
export const federatedBundle: Target = {
  name: 'spiffe-bundle',
  form: 'json',
  longest: 16_384,
  codes: ['bad_config'],
  run(input) {
    const judged = judgeBundle(input, { sequence: 7, keys: [] }, OWN);
    if (!judged.taken) throw new WritError('bad_config', judged.fault);
    const { sequence, keys } = judged.bundle;
    demand(Number.isSafeInteger(sequence) && sequence! >= 7, 'a bundle that goes back was taken');
    demand(
      keys.every(({ use, d }) => (use === 'x509-svid' || use === 'jwt-svid') && d === undefined),
      'a bundle holds something but public keys of SVIDs',
    );
    for (const authority of authoritiesIn(judged.bundle)) {
      demand(
        uriNames(authority).every((uri) => !/^spiffe:\/\/ours\.test\/*$/i.test(uri)),
        'somebody else names our trust domain',
      );
    }
  },
};

/** The key of RFC 7515 A.3: what the tokens of the corpus are signed with. */
export const CORPUS_P256: KeyObject = createPrivateKey({
  key: {
    kty: 'EC',
    crv: 'P-256',
    x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
    y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
    d: 'jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI',
  },
  format: 'jwk',
});

const JWK = { ...createPublicKey(CORPUS_P256).export({ format: 'jwk' }), kid: 'corpus', use: 'jwt-svid' };
const KEYS = parseSpiffeBundle(Buffer.from(JSON.stringify({ keys: [JWK] })), 'corpus').jwtKeys;

/** Input: a JWT-SVID. Only what the corpus' key signed may be accepted. */
export const jwtSvid: Target = {
  name: 'jwt-svid',
  form: 'text',
  longest: 8192,
  codes: ['bad_token'],
  words: ['.', '..', '=', '-', '_', 'eyJhbGciOiJub25lIn0', 'eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9', 'e30'],
  run(input) {
    const options = { audience: 'corpus', now: 1_800_000_000_000, keys: () => KEYS };
    const result = validateJwtSvid(Buffer.from(input).toString('latin1'), options);
    if (!result.ok) throw new WritError('bad_token', result.why);
    demand(result.id.uri === 'spiffe://agents.test/x', 'a token that nobody signed was accepted');
  },
};
