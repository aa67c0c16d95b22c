import type { Caller } from '../base/access.ts';
import type { Page, PageRequest } from '../db/cursor.ts';
import type { StopRecord, StopState } from '../revocation/stop-store.ts';
import type { StopRequest } from '../revocation/stop-target.ts';
import type { Falls } from '../revocation/would-fall.ts';
import { byId } from '../wire/path.ts';
import type * as wire from '../wire/stop.ts';
import { createStop, stopPage, stopQuery, stopRecord } from '../wire/stop.ts';
import { type Operation, operation, type WriteOptions } from './operation.ts';
import { given, givenTime, pageAnswer, timeText } from './render.ts';

/** What the routes under `/v1/stops` need. Each asks policy. */
export interface Stops {
  stop(caller: Caller, request: StopRequest, options: WriteOptions): Promise<StopRecord>;
  quarantine(caller: Caller, request: StopRequest, options: WriteOptions): Promise<StopRecord>;
  wouldFall(caller: Caller, request: StopRequest & { readonly mode: 'quarantine' | 'revocation' }): Promise<Falls>;
  confirm(caller: Caller, id: string, options: WriteOptions): Promise<StopRecord>;
  release(caller: Caller, id: string, options: WriteOptions): Promise<StopRecord>;
  show(caller: Caller, id: string): Promise<StopRecord>;
  list(caller: Caller, filter: { readonly state?: StopState }, page: PageRequest): Promise<Page<StopRecord>>;
  now(): number;
}

export function stopOperations(stops: Stops): Operation[] {
  return [
    operation({
      id: 'createStop',
      method: 'POST',
      path: '/v1/stops',
      access: 'caller',
      action: 'stop.quarantine',
      summary: 'Pulls the cord: quarantines or stops for ever, with all that falls with it; or says what would fall.',
      body: createStop,
      answer: stopRecord,
      example: {
        body: { target: { kind: 'agent', name: 'planner' }, cause: 'session_replay', mode: 'quarantine' },
        answer: EXAMPLE,
      },
      async handle({ caller, body, idempotency }): Promise<wire.Stop> {
        const { mode = 'revocation', dry_run: dryRun = false, ...request } = body;
        if (dryRun) {
          const falls = await stops.wouldFall(caller, { ...request, mode });
          return plannedAnswer(caller, body, falls, stops.now());
        }
        const pull = mode === 'quarantine' ? stops.quarantine : stops.stop;
        return stopAnswer(await pull(caller, request, { idempotency }), request.target);
      },
    }),
    operation({
      id: 'listStops',
      method: 'GET',
      path: '/v1/stops',
      access: 'caller',
      action: 'stop.read',
      summary: 'Stops and quarantines, newest first.',
      query: stopQuery,
      answer: stopPage,
      example: { answer: { items: [EXAMPLE] } },
      handle: async ({ caller, query: { state, ...page } }) =>
        pageAnswer(await stops.list(caller, state === undefined ? {} : { state }, page), (stop) => stopAnswer(stop)),
    }),
    operation({
      id: 'getStop',
      method: 'GET',
      path: '/v1/stops/{id}',
      access: 'caller',
      action: 'stop.read',
      summary: 'One stop or quarantine.',
      params: byId,
      answer: stopRecord,
      example: { answer: EXAMPLE },
      handle: async ({ caller, params: { id } }) => stopAnswer(await stops.show(caller, id)),
    }),
    operation({
      id: 'confirmStop',
      method: 'POST',
      path: '/v1/stops/{id}/confirm',
      access: 'caller',
      action: 'stop.confirm',
      summary: 'Makes for ever, as a second person, what somebody asked to be.',
      params: byId,
      answer: stopRecord,
      example: { answer: { ...EXAMPLE, state: 'revoked' } },
      handle: async ({ caller, params: { id }, idempotency }) =>
        stopAnswer(await stops.confirm(caller, id, { idempotency })),
    }),
    operation({
      id: 'releaseStop',
      method: 'POST',
      path: '/v1/stops/{id}/release',
      access: 'caller',
      action: 'stop.release',
      summary: 'Lifts a quarantine.',
      params: byId,
      answer: stopRecord,
      example: { answer: { ...EXAMPLE, state: 'released' } },
      handle: async ({ caller, params: { id }, idempotency }) =>
        stopAnswer(await stops.release(caller, id, { idempotency })),
    }),
  ];
}

function stopAnswer(stop: StopRecord, asked?: wire.StopTarget): wire.Stop {
  return {
    id: stop.id,
    target: asked ?? shownTarget({ kind: stop.kind, name: stop.target }),
    state: stop.state,
    cause: stop.cause,
    stopped_by: stop.stoppedBy,
    authority: stop.authority,
    ...given('evidence', stop.evidence),
    stopped_at: timeText(stop.stoppedAt),
    marking: stop.unmarked,
    awaits_second_person: stop.state === 'quarantined' && stop.revocationBy !== undefined,
    ...given('revocation_by', stop.revocationBy),
    ...given('confirmed_by', stop.confirmedBy),
    ...givenTime('confirmed_at', stop.confirmedAt),
    ...given('released_by', stop.releasedBy),
    ...givenTime('released_at', stop.releasedAt),
  };
}

/** A team that is gone and one that is stopped are the same to whoever reads of it. */
export function shownTarget({ kind, name }: { readonly kind: string; readonly name: string }): wire.StopTarget {
  return { kind: (kind === 'orphan' ? 'owner' : kind) as wire.StopTarget['kind'], name };
}

function plannedAnswer(
  { id }: Caller,
  { target, cause, reason }: wire.CreateStop,
  falls: Falls,
  now: number,
): wire.Stop {
  const { needsSecond, ...named } = falls;
  return {
    target,
    state: 'planned',
    cause: cause ?? reason ?? '',
    stopped_by: id,
    authority: [],
    stopped_at: timeText(now),
    marking: false,
    awaits_second_person: false,
    falls: { ...named, needs_second_person: needsSecond },
  };
}

const EXAMPLE: wire.Stop = {
  id: '01kaj8x5y7zq4m2n6p8r0t2v4w',
  target: { kind: 'agent', name: 'planner' },
  state: 'quarantined',
  cause: 'session_replay',
  stopped_by: 'spiffe://agents.example.com/operator/ada',
  authority: ['security-pulls-the-cord'],
  evidence: 'https://soc.example.com/cases/7',
  stopped_at: '2026-11-22T14:03:22.000Z',
  marking: false,
  awaits_second_person: false,
};
