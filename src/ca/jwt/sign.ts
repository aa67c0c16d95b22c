import { WritError } from '../../base/error.ts';
import { joseSignature } from '../../jwt/ecdsa.ts';
import { publicJwk } from '../../jwt/jwk.ts';
import { assembleJws, signingInput } from '../../jwt/jws.ts';
import type { Signer } from '../../keys/signer.ts';
import { parsePublicKey } from '../../x509/public-key.ts';

/** A token that Writ may sign. A further kind gets a member here, so that nothing signs what is not listed. */
export type SignableToken = SecurityEventToken | JwtSvidToken;

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

/** SPIFFE JWT-SVID §2 and §3. Its header has no member but `alg`, `kid` and `typ`. */
interface JwtSvidToken {
  readonly typ: 'JWT';
  readonly claims: {
    readonly iss: string;
    /** The SPIFFE ID. */
    readonly sub: string;
    readonly aud: readonly string[];
    readonly jti: string;
    /** Seconds. */
    readonly iat: number;
    readonly exp: number;
  };
}

const ALGORITHMS = { 'ec-p256': 'ES256', ed25519: 'EdDSA', rsa: 'RS256' } as const;

/** A signer of tokens, with what the header says of it. */
export interface TokenSigner {
  readonly signer: Signer;
  readonly alg: (typeof ALGORITHMS)[keyof typeof ALGORITHMS];
  readonly kid: string;
}

/** Throws `signer_failed` for a key of a kind for which receivers know no algorithm. */
export function tokenSignerOf(signer: Signer): TokenSigner {
  const { algorithm } = parsePublicKey(signer.spki);
  if (!(algorithm in ALGORITHMS)) throw new WritError('signer_failed', 'This kind of key does not sign tokens.');
  return { signer, alg: ALGORITHMS[algorithm as keyof typeof ALGORITHMS], kid: publicJwk(signer.spki)['kid']! };
}

/**
 * Signs a token (RFC 7515). Nothing else in the product signs one. Rejects with `signer_failed` when the key cannot be
 * used, or is one that JWT-SVIDs are not signed with (JWT-SVID §2.1 knows no EdDSA).
 */
export async function signJwt({ signer, alg, kid }: TokenSigner, token: SignableToken): Promise<string> {
  if (token.typ === 'JWT' && alg !== 'ES256') {
    throw new WritError('signer_failed', 'This kind of key does not sign JWT-SVIDs.');
  }
  const input = signingInput({ alg, typ: token.typ, kid }, token.claims);
  const [signature] = await signer.sign([Buffer.from(input, 'ascii')]);
  if (signature === undefined) throw new WritError('signer_failed', 'The signer gave no signature.');
  return assembleJws(input, alg === 'ES256' ? joseSignature(signature, 32) : signature);
}
