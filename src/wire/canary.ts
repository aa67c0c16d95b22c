import * as z from 'zod';
import { POINT } from './feed-points.ts';
import { PAGE_MEMBERS, type Page, type PageQuery, pageOf } from './page.ts';
import { type Schema, schemaOf } from './schema.ts';
import { id, name, time } from './text.ts';

const VERDICTS = ['refused', 'still_accepted', 'unreachable', 'unclear'] as const;

/**
 * `refused`: the child was refused while the control was accepted. `still_accepted`: accepted beyond the limit.
 * `unreachable`: not accepted to begin with. `unclear`: whatever happened, the stop did not show.
 */
export type CanaryVerdict = (typeof VERDICTS)[number];

/** What was measured, in milliseconds of the runner's monotonic clock; but for `stop_ms` from the acknowledgement on. */
export interface CanaryFigures {
  /** From sending the stop to its acknowledgement. */
  readonly stop_ms?: number;
  /** Until the last accepted answer came in; 0 when none did. */
  readonly time_to_effect_ms?: number;
  /** Until the first refusal behind that. */
  readonly refused_ms?: number;
  /** As `time_to_effect_ms`, on the connection that was kept and on new ones. */
  readonly kept_ms?: number;
  readonly fresh_ms?: number;
  /** Calls that began after the acknowledgement and were accepted. */
  readonly accepted_after: number;
  /** Calls in all. */
  readonly calls: number;
}

/** What a runner found at one point: body of `POST /v1/feed/canaries`. */
export interface CanaryReport extends CanaryFigures {
  readonly point: string;
  /** The instance that was let in for this and stopped. */
  readonly child: string;
  readonly verdict: CanaryVerdict;
  /** How often this point is looked at. Absent: not on a schedule. */
  readonly period_seconds?: number;
  /** What stood in the way, e.g. `ECONNREFUSED`, `status 503`. */
  readonly detail?: string;
}

const milliseconds = z.int().min(0).max(600_000);
const point = z.string().max(64).regex(POINT, 'Use 1 to 64 letters, digits and . _ : -');
const figures = {
  stop_ms: milliseconds.exactOptional(),
  time_to_effect_ms: milliseconds.exactOptional(),
  refused_ms: milliseconds.exactOptional(),
  kept_ms: milliseconds.exactOptional(),
  fresh_ms: milliseconds.exactOptional(),
  accepted_after: z.int().min(0).max(1_000_000),
  calls: z.int().min(0).max(1_000_000),
};
const period = z.int().min(1).max(31_622_400);
const detail = z
  .string()
  .max(100)
  .regex(/^[A-Za-z0-9 .,:_-]+$/, 'Use letters, digits and . , : _ -');

export const canaryReport: Schema<CanaryReport> = schemaOf<CanaryReport>()(
  z.strictObject({
    point,
    child: id,
    verdict: z.enum(VERDICTS),
    ...figures,
    period_seconds: period.exactOptional(),
    detail: detail.exactOptional(),
  }),
);

/** How one enforcement point fares: item of `GET /v1/feed/canaries`. */
export interface Canary extends CanaryFigures {
  /** Whose instances measure. */
  readonly agent: string;
  readonly point: string;
  /** `silent`: said nothing for two periods. `failing`: the latest verdict is `still_accepted`. */
  readonly status: 'well' | 'failing' | 'silent' | 'unclear';
  readonly verdict: CanaryVerdict;
  /** The instance that measured, and the one that was stopped for it, when by the server's clock. */
  readonly runner: string;
  readonly child: string;
  readonly stopped_at: string;
  readonly reported_at: string;
  readonly period_seconds?: number;
  readonly detail?: string;
  /** The latest measurements, at most 128, of which the quantiles of `time_to_effect_ms` are taken. */
  readonly samples: number;
  readonly p50_ms?: number;
  readonly p99_ms?: number;
  readonly max_ms?: number;
  readonly last_success_at?: string;
  /** Since the point is known. */
  readonly successes: number;
  readonly failures: number;
  readonly inconclusive: number;
}

export const canary: Schema<Canary> = schemaOf<Canary>()(
  z.strictObject({
    agent: name,
    point,
    status: z.enum(['well', 'failing', 'silent', 'unclear']),
    verdict: z.enum(VERDICTS),
    runner: id,
    child: id,
    stopped_at: time,
    reported_at: time,
    period_seconds: period.exactOptional(),
    detail: detail.exactOptional(),
    ...figures,
    samples: z.int().min(0).max(128),
    p50_ms: milliseconds.exactOptional(),
    p99_ms: milliseconds.exactOptional(),
    max_ms: milliseconds.exactOptional(),
    last_success_at: time.exactOptional(),
    successes: z.int().min(0),
    failures: z.int().min(0),
    inconclusive: z.int().min(0),
  }),
);

export const canaryPage: Schema<Page<Canary>> = pageOf(canary);

export interface CanaryQuery extends PageQuery {
  readonly status?: Canary['status'];
}

export const canaryQuery: Schema<CanaryQuery> = schemaOf<CanaryQuery>()(
  z.strictObject({ status: z.enum(['well', 'failing', 'silent', 'unclear']).exactOptional(), ...PAGE_MEMBERS }),
);

export const byCanary: Schema<{ readonly agent: string; readonly point: string }> = schemaOf<{
  readonly agent: string;
  readonly point: string;
}>()(z.strictObject({ agent: name, point }));

/** The points of a runner: content of `writ canary run --points FILE`. */
export interface CanaryPoints {
  readonly points: readonly {
    readonly point: string;
    readonly url: string;
    /** Like `10m`. */
    readonly every?: string;
    /** Who the point is, as the rule of a client: `service/gateway/*`. Absent: by its host name. */
    readonly peer?: string;
    /** File with roots in PEM, where another authority certified it. */
    readonly roots?: string;
  }[];
}

export const canaryPoints: Schema<CanaryPoints> = schemaOf<CanaryPoints>()(
  z.strictObject({
    points: z
      .array(
        z.strictObject({
          point,
          url: z
            .string()
            .max(2048)
            .regex(/^https:\/\//, 'Give an https:// URL.'),
          every: z.string().max(16).exactOptional(),
          peer: z.string().max(2048).exactOptional(),
          roots: z.string().max(4096).exactOptional(),
        }),
      )
      .min(1)
      .max(200),
  }),
);
