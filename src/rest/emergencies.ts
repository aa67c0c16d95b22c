import type { Caller } from '../base/access.ts';
import type { Page, PageRequest } from '../db/cursor.ts';
import type { Emergency } from '../registry/emergency.ts';
import type * as wire from '../wire/emergency.ts';
import { beginEmergency, emergency, emergencyPage, emergencyQuery, reviewEmergency } from '../wire/emergency.ts';
import { byId } from '../wire/path.ts';
import { type Operation, operation, type WriteOptions } from './operation.ts';
import { given, givenTime, pageAnswer, timeText } from './render.ts';

/** What the routes under `/v1/emergencies` need. Each asks policy. */
export interface Emergencies {
  begin(caller: Caller, wanted: wire.BeginEmergency, options: WriteOptions): Promise<Emergency>;
  end(caller: Caller, id: string): Promise<Emergency>;
  review(caller: Caller, review: { readonly id: string; readonly note: string }): Promise<Emergency>;
  show(caller: Caller, id: string): Promise<Emergency>;
  list(caller: Caller, filter: { readonly open: boolean }, page: PageRequest): Promise<Page<Emergency>>;
  readonly now: () => number;
}

export function emergencyOperations(emergencies: Emergencies): Operation[] {
  const answerOf = (one: Emergency): wire.Emergency => emergencyAnswer(one, emergencies.now());
  return [
    operation({
      id: 'beginEmergency',
      method: 'POST',
      path: '/v1/emergencies',
      access: 'caller',
      action: 'emergency.begin',
      summary: 'Begins emergency access for the caller, half an hour at most, on an approval of two others.',
      body: beginEmergency,
      status: 201,
      answer: emergency,
      example: { body: { purpose: 'the gateway is held by mistake', seconds: 900 }, answer: EXAMPLE },
      handle: async ({ caller, body, idempotency }) => answerOf(await emergencies.begin(caller, body, { idempotency })),
    }),
    operation({
      id: 'listEmergencies',
      method: 'GET',
      path: '/v1/emergencies',
      access: 'caller',
      action: 'approval.read',
      summary: 'Emergency access and recoveries, the newest first.',
      query: emergencyQuery,
      answer: emergencyPage,
      example: { answer: { items: [EXAMPLE] } },
      handle: async ({ caller, query: { state, ...page } }) =>
        pageAnswer(await emergencies.list(caller, { open: state !== undefined }, page), answerOf),
    }),
    operation({
      id: 'getEmergency',
      method: 'GET',
      path: '/v1/emergencies/{id}',
      access: 'caller',
      action: 'approval.read',
      summary: 'One of them.',
      params: byId,
      answer: emergency,
      example: { answer: EXAMPLE },
      handle: async ({ caller, params: { id } }) => answerOf(await emergencies.show(caller, id)),
    }),
    operation({
      id: 'endEmergency',
      method: 'POST',
      path: '/v1/emergencies/{id}/end',
      access: 'caller',
      action: 'emergency.end',
      summary: 'Ends emergency access before its time.',
      params: byId,
      answer: emergency,
      example: { answer: EXAMPLE },
      handle: async ({ caller, params: { id } }) => answerOf(await emergencies.end(caller, id)),
    }),
    operation({
      id: 'reviewEmergency',
      method: 'POST',
      path: '/v1/emergencies/{id}/review',
      access: 'caller',
      action: 'emergency.review',
      summary: 'Closes the review of what is over, with a note. Never for the person it was about.',
      params: byId,
      body: reviewEmergency,
      answer: emergency,
      example: { body: { note: 'released one agent, nothing else' }, answer: REVIEWED },
      handle: async ({ caller, params: { id }, body: { note } }) =>
        answerOf(await emergencies.review(caller, { id, note })),
    }),
  ];
}

function emergencyAnswer(one: Emergency, now: number): wire.Emergency {
  const over = one.endedAt !== undefined || one.endsAt <= now;
  return {
    id: one.id,
    kind: one.kind,
    state: one.reviewedAt !== undefined ? 'reviewed' : over ? 'unreviewed' : 'in_force',
    operator: one.operator,
    person: one.person,
    purpose: one.purpose,
    approval: one.approval,
    people: one.people,
    began_at: timeText(one.beganAt),
    ends_at: timeText(one.endsAt),
    ...givenTime('reviewed_at', one.reviewedAt),
    ...given('reviewed_by', one.reviewedBy),
    ...given('note', one.note),
  };
}

const EXAMPLE: wire.Emergency = {
  id: '01kaj8x5y7zq4m2n6p8r0t2v4w',
  kind: 'break-glass',
  state: 'in_force',
  operator: 'ada',
  person: 'ada',
  purpose: 'the gateway is held by mistake',
  approval: '01kaj8x5y7zq4m2n6p8r0t2v4x',
  people: ['bob', 'grace'],
  began_at: '2026-11-22T14:03:22.000Z',
  ends_at: '2026-11-22T14:18:22.000Z',
};

const REVIEWED: wire.Emergency = {
  ...EXAMPLE,
  state: 'reviewed',
  reviewed_at: '2026-11-22T16:00:00.000Z',
  reviewed_by: 'bob',
  note: 'released one agent, nothing else',
};
