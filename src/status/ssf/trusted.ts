import { createHash, timingSafeEqual } from 'node:crypto';
import type { VerificationKey } from '../../jwt/jwk.ts';

/** Somebody whose signals make Writ quarantine, as whoever runs the server has configured it. */
export interface TrustedTransmitter {
  /** What `iss` must be. */
  readonly issuer: string;
  /** What `aud` must be, or hold. */
  readonly audience: string;
  readonly keys: readonly VerificationKey[];
  /** SHA-256 of the bearer token that it shows. */
  readonly bearerHash: Uint8Array;
}

/** `Bearer` and a token of RFC 6750 §2.1. */
const BEARER = /^Bearer +([A-Za-z0-9._~+/-]{16,512}=*)$/i;

/** Who shows this header; undefined for nobody. Takes as long whoever it is. */
export function transmitterOf(
  trusted: readonly TrustedTransmitter[],
  authorization: string | undefined,
): TrustedTransmitter | undefined {
  const token = BEARER.exec(authorization ?? '')?.[1];
  if (token === undefined) return undefined;
  const shown = hashBearer(token);
  let found: TrustedTransmitter | undefined;
  for (const one of trusted) if (timingSafeEqual(shown, one.bearerHash)) found = one;
  return found;
}

export function hashBearer(token: string): Uint8Array {
  return createHash('sha256').update(token, 'utf8').digest();
}
