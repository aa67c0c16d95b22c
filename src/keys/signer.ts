import type { SignatureAlgorithm } from '../x509/algorithm.ts';

/**
 * A private key that signs and never shows itself: local, on a token, or across a network.
 *
 * `sign` takes many messages at once, so that a remote signer pays one round trip for all that are in flight, and gives
 * the signatures in the same order, encoded as X.509 wants them (ECDSA: DER `SEQUENCE { r, s }`; Ed25519 and ML-DSA:
 * the raw octets). Rejects with `signer_failed`; then none of the signatures may be used.
 */
export interface Signer {
  readonly algorithm: SignatureAlgorithm;
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  sign(messages: readonly Uint8Array[]): Promise<Uint8Array[]>;
  close(): Promise<void>;
}
