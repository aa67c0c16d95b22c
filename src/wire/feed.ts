import * as z from 'zod';
import { type Schema, schemaOf } from './schema.ts';

/** One entry of the feed: data of an SSE event `entry`, and item of a page. */
export interface FeedEntry {
  /** Index in the ledger, rising. */
  readonly position: number;
  /** Position of the first entry of the same act. */
  readonly act: number;
  readonly effect: 'stop' | 'hold' | 'release';
  /** Type of the ledger's entry. */
  readonly type: string;
  /** When the act was prepared, milliseconds since the Unix epoch. */
  readonly at: number;
  /** When it may be forgotten, milliseconds. */
  readonly expires_at: number;
  /**
   * `serial:<hex>`, `instance:<id>`, `agent:<name>`, `operator:<name>`; with `authority:<id>` comes `issuer:<hex>`, the key
   * identifier in the certificates below it. What else may be stopped is named by what falls with it, in further entries.
   */
  readonly subjects: readonly string[];
}

/** Data of the SSE events `hello` (first) and `heartbeat` (each second). */
export interface FeedState {
  /** Number of the log that positions belong to. */
  readonly log: number;
  /** Of the latest entry; 0 when there is none. */
  readonly position: number;
  readonly epoch: number;
  /** Everything committed until then stands before this in the stream; milliseconds of the server's clock. */
  readonly as_of: number;
  /** The server's clock when it sent this, milliseconds. */
  readonly time: number;
}

/** A page of what is in force: answer of `GET /v1/feed/entries`. */
export interface FeedPage {
  readonly log: number;
  /** Whoever knows less than this (and something) must forget it and begin at 0. */
  readonly floor: number;
  readonly entries: readonly FeedEntry[];
  /** Where to go on; with `complete`, where to join the stream. */
  readonly position: number;
  readonly complete: boolean;
}

/** What an enforcement point has done: body of `POST /v1/feed/acks`. */
export interface FeedAcks {
  /** Name under which it reads the stream. */
  readonly point: string;
  readonly log: number;
  readonly acks: readonly FeedAck[];
}

export interface FeedAck {
  /** Everything up to this is refused there. */
  readonly position: number;
  /** Uses accepted between the commit and this, and after this, of what the entry at this position names. */
  readonly accepted_before?: number;
  readonly accepted_after?: number;
}

const count = z.int().min(0);

/** Names an enforcement point chooses. */
export const POINT: RegExp = /^[A-Za-z0-9._:-]{1,64}$/;

export const feedAcks: Schema<FeedAcks> = schemaOf<FeedAcks>()(
  z.strictObject({
    point: z.string().regex(POINT, 'Use 1 to 64 letters, digits and . _ : -'),
    log: count,
    acks: z
      .array(
        z.strictObject({
          position: count,
          accepted_before: count.exactOptional(),
          accepted_after: count.exactOptional(),
        }),
      )
      .max(256),
  }),
);

/** How far an act has come at the points that are connected: answer of `GET /v1/feed/effect`. */
export interface FeedEffectReport {
  readonly position: number;
  readonly committed_at: string;
  /** Enforcement points that were connected when it was told. */
  readonly points: number;
  readonly acknowledged: number;
  /** From commit to acknowledgement, milliseconds. */
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly max_ms: number;
  /** Those that have not, at most 100; for operators. */
  readonly missing?: readonly string[];
  readonly accepted_before: number;
  readonly accepted_after: number;
  /** Nothing more will come. */
  readonly complete: boolean;
}
