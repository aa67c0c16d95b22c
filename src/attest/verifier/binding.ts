import { sha256 } from '../../base/sha256.ts';

const USED = Buffer.from('writ attestation 1\0', 'latin1');

/** Evidence that answers a challenge is good once: the challenge is used up. */
export function onceByChallenge({ nonce, until }: { readonly nonce: Uint8Array; readonly until: number }): {
  readonly digest: Uint8Array;
  readonly until: number;
} {
  return { digest: sha256(Buffer.concat([USED, nonce])), until };
}
