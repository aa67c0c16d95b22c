import type { Caller } from '../base/access.ts';
import type { Page, PageRequest } from '../db/cursor.ts';
import {
  byCanary,
  type Canary,
  type CanaryReport,
  canary,
  canaryPage,
  canaryQuery,
  canaryReport,
} from '../wire/canary.ts';
import { type Operation, operation, type WriteOptions } from './operation.ts';

/** What the routes under `/v1/feed/canaries` need. Each asks policy. */
export interface Canaries {
  list(caller: Caller, filter: { readonly status?: Canary['status'] }, page: PageRequest): Promise<Page<Canary>>;
  record(caller: Caller, report: CanaryReport, options: WriteOptions): Promise<Canary>;
  /** Gives the point as it was. */
  remove(
    caller: Caller,
    target: { readonly agent: string; readonly point: string },
    options: WriteOptions,
  ): Promise<Canary>;
}

export function canaryOperations(canaries: Canaries): Operation[] {
  return [
    operation({
      id: 'listCanaries',
      method: 'GET',
      path: '/v1/feed/canaries',
      access: 'caller',
      action: 'canary.read',
      summary: 'How fast stops take effect at each enforcement point, as its canaries found.',
      query: canaryQuery,
      answer: canaryPage,
      example: { answer: { items: [EXAMPLE] } },
      async handle({ caller, query: { status, ...page } }) {
        const { items, next } = await canaries.list(caller, status === undefined ? {} : { status }, page);
        return next === undefined ? { items } : { items, next_cursor: next };
      },
    }),
    operation({
      id: 'reportCanary',
      method: 'POST',
      path: '/v1/feed/canaries',
      access: 'caller',
      action: 'canary.report',
      summary: 'Reports what became of a child of the caller that was stopped: for canaries.',
      body: canaryReport,
      answer: canary,
      example: {
        body: {
          ...{ point: 'gateway-1', child: EXAMPLE.child, verdict: 'refused', period_seconds: 600 },
          ...{ stop_ms: 9, time_to_effect_ms: 14, refused_ms: 19, kept_ms: 14, fresh_ms: 0 },
          ...{ accepted_after: 2, calls: 312 },
        },
        answer: EXAMPLE,
      },
      handle: ({ caller, body, idempotency }) => canaries.record(caller, body, { idempotency }),
    }),
    operation({
      id: 'removeCanary',
      method: 'DELETE',
      path: '/v1/feed/canaries/{agent}/{point}',
      access: 'caller',
      action: 'canary.remove',
      summary: 'Takes a point out of the listing that is looked at no more.',
      params: byCanary,
      answer: canary,
      example: { answer: EXAMPLE },
      handle: ({ caller, params, idempotency }) => canaries.remove(caller, params, { idempotency }),
    }),
  ];
}

const EXAMPLE: Canary = {
  agent: 'canary',
  point: 'gateway-1',
  status: 'well',
  verdict: 'refused',
  runner: '01kaj8x5y7zq4m2n6p8r0t2v4w',
  child: '01kaj8x5y7zq4m2n6p8r0t2v4x',
  stopped_at: '2026-11-22T14:03:22.000Z',
  reported_at: '2026-11-22T14:03:23.100Z',
  period_seconds: 600,
  stop_ms: 9,
  time_to_effect_ms: 14,
  refused_ms: 19,
  kept_ms: 14,
  fresh_ms: 0,
  accepted_after: 2,
  calls: 312,
  samples: 128,
  p50_ms: 11,
  p99_ms: 31,
  max_ms: 42,
  last_success_at: '2026-11-22T14:03:22.000Z',
  successes: 1204,
  failures: 0,
  inconclusive: 2,
};
