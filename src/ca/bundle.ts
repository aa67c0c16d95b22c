import { encodePem } from '../der/pem.ts';
import { importPublicKey, parsePublicKey } from '../x509/public-key.ts';
import { type Authority, rootsOf } from './authority.ts';

/** How often relying parties may ask for the bundle anew. Seconds. */
const REFRESH_HINT = 3600;

/** The trust anchors as PEM, the newest first. */
export function anchorsPem(authorities: readonly Authority[]): string {
  return rootsOf(authorities)
    .map(({ certificate }) => encodePem('CERTIFICATE', certificate.raw))
    .join('');
}

/** A SPIFFE bundle: a JWK set (SPIFFE Trust Domain and Bundle §4). */
export interface SpiffeBundle {
  /** Grows whenever the set changes. */
  readonly spiffe_sequence: number;
  /** Seconds. */
  readonly spiffe_refresh_hint: number;
  readonly keys: readonly Readonly<Record<string, unknown>>[];
}

/** The bundle of the trust domain: one key for each anchor, with `use` and `x5c` and without `kid` (X.509-SVID §6.2). */
export function spiffeBundle(authorities: readonly Authority[]): SpiffeBundle {
  const roots = rootsOf(authorities);
  return {
    spiffe_sequence: roots[0]?.createdAt ?? 0,
    spiffe_refresh_hint: REFRESH_HINT,
    keys: roots.map(({ certificate }) => ({
      ...importPublicKey(parsePublicKey(certificate.spki)).export({ format: 'jwk' }),
      use: 'x509-svid',
      x5c: [Buffer.from(certificate.raw).toString('base64')],
    })),
  };
}
