import type { FeedEntry, FeedPage, FeedState } from './feed.ts';

/**
 * What a server says of the feed under its signature, so that it can be believed whoever passes it on. Names are wire
 * values: they never change.
 */
export type FeedStatement =
  /** Nothing is in the feed behind `position` that was committed until `as_of`. */
  | ({ readonly kind: 'state' } & FeedState)
  /** What the feed has behind `after` and up to `position` is this and nothing else. */
  | ({ readonly kind: 'entries' } & FeedSegment)
  /** The same of what is in force. */
  | ({ readonly kind: 'page'; readonly after: number } & FeedPage)
  /** This clock stood at `time` after these had been made up. */
  | { readonly kind: 'time'; readonly nonces: readonly string[]; readonly time: number };

/** Entries of the feed without a gap. */
export interface FeedSegment {
  readonly log: number;
  readonly after: number;
  readonly position: number;
  readonly entries: readonly FeedEntry[];
}

export interface SignedStatement {
  /** The signer's certificate and those above it without the root, base64 of DER. */
  readonly chain: readonly string[];
  /** JSON of a `FeedStatement` with `trust_domain`, and perhaps `vouchers`, as it was signed. */
  readonly statement: string;
  /** Base64: by the certificate's key; ECDSA with SHA-256 as DER (RFC 3279 §2.2.3), ML-DSA without context (FIPS 204). */
  readonly signature: string;
}

/** What stands in each statement beside what it says. */
export interface StatementFrame {
  readonly trust_domain: string;
  /**
   * Base64 of DER: answers of OCSP that authorities of the chain which were held are good, by those above them. Whoever
   * knows of such a hold believes the statement by these alone.
   */
  readonly vouchers?: readonly string[];
}

/** Milliseconds by which a voucher is younger than the hold: clocks of servers may part, and answers say whole seconds. */
export const VOUCHED_AFTER_MS = 2000;

/**
 * Nothing else that this key signs begins like this: in a handshake of TLS 1.3 that is 64 spaces (RFC 8446 §4.4.3).
 */
const CONTEXT = 'writ-feed-v1\n';

/** What the signature is over. */
export function signedOctets(statement: string): Uint8Array {
  return Buffer.from(CONTEXT + statement, 'utf8');
}

/** As an event of the stream. */
export function signedText(signed: SignedStatement): string {
  return `event: signed\ndata: ${JSON.stringify(signed)}\n\n`;
}

/** A question for the server's clock: body of `POST /v1/feed/time`. */
export interface FeedTimeQuestion {
  readonly nonces: readonly string[];
}

/** Made up by who asks for the time, so that no answer to somebody else, or from before, fits. */
export const NONCE: RegExp = /^[A-Za-z0-9_-]{16,64}$/;

/** Of one question. */
export const MOST_NONCES = 64;
