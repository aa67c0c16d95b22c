import * as z from 'zod';
import { MOST_BEHIND, POINT, POINT_BEHIND } from './feed-points.ts';
import { type Schema, schemaOf } from './schema.ts';
import { time } from './text.ts';

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
const pointBehind = z.string().regex(POINT_BEHIND, 'Use 1 to 400 printable characters of ASCII, neither " nor \\');

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

const subjects = z.array(z.string().max(256)).max(4096);

const feedEntry: Schema<FeedEntry> = schemaOf<FeedEntry>()(
  z.strictObject({
    position: count,
    act: count,
    effect: z.enum(['stop', 'hold', 'release']),
    type: z.string().max(64),
    at: count,
    expires_at: count,
    subjects,
    also: subjects.exactOptional(),
  }),
);

export const feedPage: Schema<FeedPage> = schemaOf<FeedPage>()(
  z.strictObject({
    log: count,
    floor: count,
    entries: z.array(feedEntry).max(1000),
    position: count,
    complete: z.boolean(),
  }),
);

/** An answer that says no more than that the request was taken. */
export const feedTaken: Schema<Readonly<Record<never, never>>> = z.strictObject({});

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

export const feedEffectReport: Schema<FeedEffectReport> = schemaOf<FeedEffectReport>()(
  z.strictObject({
    position: count,
    committed_at: time,
    points: count,
    acknowledged: count,
    p50_ms: count,
    p99_ms: count,
    max_ms: count,
    missing: z.array(z.string().max(4096)).max(100).exactOptional(),
    accepted_before: count,
    accepted_after: count,
    complete: z.boolean(),
  }),
);

/** Parameters of the routes, for their description. */
export const feedQuery: Schema<{ readonly point?: string; readonly signed?: '1' }> = z.strictObject({
  point: point.exactOptional(),
  signed: z.literal('1').exactOptional(),
});
export const feedHeaders: Schema<{ readonly 'Last-Event-ID'?: string }> = z.strictObject({
  'Last-Event-ID': z
    .string()
    .regex(/^\d{1,9}\.\d{1,15}$/)
    .exactOptional(),
});
export const feedEntriesQuery: Schema<{ readonly after?: string }> = z.strictObject({
  after: z
    .string()
    .regex(/^\d{1,15}$/)
    .exactOptional(),
});
export const feedEffectQuery: Schema<{ readonly subject: string }> = z.strictObject({ subject: z.string().max(256) });
