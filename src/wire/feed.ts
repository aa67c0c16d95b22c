import * as z from 'zod';
import { MOST_BEHIND, POINT, POINT_BEHIND } from './feed-points.ts';
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
  /**
   * Falls with it at once, as far as it is known and not too much: `agent:<name>`, `instance:<id>`. To be refused for
   * `ALSO_MS` or until the release of what `subjects` names; meanwhile the entries of what fell follow.
   */
  readonly also?: readonly string[];
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
  /** What points have done that read from this one, which relays the feed to them. */
  readonly behind?: readonly PointAcks[];
}

/** What one point has done behind a relay. */
export interface PointAcks {
  readonly point: string;
  readonly acks: readonly FeedAck[];
}

/** Which points read from a relay now, all of them: body of `POST /v1/feed/points`. */
export interface FeedPoints {
  /** Name under which the relay reads the stream. */
  readonly point: string;
  readonly behind: readonly string[];
}

export interface FeedAck {
  /** Everything up to this is refused there. */
  readonly position: number;
  /** Uses accepted between the commit and this, and after this, of what the entry at this position names. */
  readonly accepted_before?: number;
  readonly accepted_after?: number;
}

const count = z.int().min(0);

/** Acknowledgements of one point, and points, in one request. */
const MOST_ACKS = 256;

const point = z.string().regex(POINT, 'Use 1 to 64 letters, digits and . _ : -');
const pointBehind = z.string().regex(POINT_BEHIND, 'Use 1 to 512 printable characters of ASCII');

const acks = z
  .array(
    z.strictObject({
      position: count,
      accepted_before: count.exactOptional(),
      accepted_after: count.exactOptional(),
    }),
  )
  .max(MOST_ACKS);

export const feedAcks: Schema<FeedAcks> = schemaOf<FeedAcks>()(
  z.strictObject({
    point,
    log: count,
    acks,
    behind: z
      .array(z.strictObject({ point: pointBehind, acks }))
      .max(MOST_ACKS)
      .exactOptional(),
  }),
);

export const feedPoints: Schema<FeedPoints> = schemaOf<FeedPoints>()(
  z.strictObject({ point, behind: z.array(pointBehind).max(MOST_BEHIND) }),
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
