import { WritError } from '../base/error.ts';
import { joseSignature } from '../jwt/ecdsa.ts';
import { publicJwk } from '../jwt/jwk.ts';
import { assembleJws, signingInput } from '../jwt/jws.ts';
import type { Signer } from '../keys/signer.ts';
import { parsePublicKey } from '../x509/public-key.ts';

/** A token that Writ may sign. A further kind gets a member here, so that nothing signs what is not listed. */
export interface SecurityEventToken {
  readonly typ: 'secevent+jwt';
  readonly claims: {
    readonly iss: string;
    readonly aud: string;
    readonly jti: string;
    /** Seconds. */
    readonly iat: number;
    readonly events: Readonly<Record<string, object>>;
  } & Readonly<Record<string, unknown>>;
}

const ALGORITHMS = { 'ec-p256': 'ES256', ed25519: 'EdDSA', rsa: 'RS256' } as const;

/**
 * Signs a token (RFC 7515). Nothing else in the product signs one. Rejects with `signer_failed` when the key cannot be
 * used, or is of a kind for which receivers know no algorithm.
 */
export async function signJwt(signer: Signer, token: SecurityEventToken): Promise<string> {
  const { algorithm } = parsePublicKey(signer.spki);
  if (!(algorithm in ALGORITHMS)) throw new WritError('signer_failed', 'This kind of key does not sign tokens.');
  const alg = ALGORITHMS[algorithm as keyof typeof ALGORITHMS];
  const input = signingInput({ alg, typ: token.typ, kid: publicJwk(signer.spki)['kid']! }, token.claims);
  const [signature] = await signer.sign([Buffer.from(input, 'ascii')]);
  if (signature === undefined) throw new WritError('signer_failed', 'The signer gave no signature.');
  return assembleJws(input, alg === 'ES256' ? joseSignature(signature, 32) : signature);
}
