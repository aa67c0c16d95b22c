import type { EntryInput } from '../attest/entry/input.ts';
import type { ShownEntry } from '../attest/entry/manage.ts';
import type { OwnEntries } from '../attest/entry/own.ts';
import type { EntryFilter } from '../attest/entry/store.ts';
import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import type { Page, PageRequest } from '../db/cursor.ts';
import type * as wire from '../wire/entry.ts';
import { createEntry, entry, entryPage, entryQuery, ownEntries, ownEntriesQuery } from '../wire/entry.ts';
import { byId } from '../wire/path.ts';
import { type Operation, operation, type WriteOptions } from './operation.ts';
import { given, pageAnswer, timeText } from './render.ts';

/** What the routes under `/v1/entries` need. Each asks policy. */
export interface Entries {
  create(caller: Caller, input: EntryInput, options: WriteOptions): Promise<ShownEntry>;
  list(caller: Caller, filter: EntryFilter, page: PageRequest): Promise<Page<ShownEntry>>;
  show(caller: Caller, id: string): Promise<ShownEntry>;
  remove(caller: Caller, id: string, options: WriteOptions): Promise<ShownEntry>;
  own(caller: Caller, query: wire.OwnEntriesQuery): Promise<OwnEntries>;
}

export function entryOperations(entries: Entries): Operation[] {
  return [
    operation({
      id: 'createEntry',
      method: 'POST',
      path: '/v1/entries',
      access: 'caller',
      action: 'entry.manage',
      summary: 'Says what must be attested, and as which agent or service the bearer is let in.',
      body: createEntry,
      status: 201,
      answer: entry,
      example: {
        body: { agent: 'planner', node: 'host', match: ['unix:uid=1000'] },
        answer: EXAMPLE,
      },
      handle: async ({ caller, body, idempotency }) =>
        entryAnswer(await entries.create(caller, inputOf(body), { idempotency })),
    }),
    operation({
      id: 'listEntries',
      method: 'GET',
      path: '/v1/entries',
      access: 'caller',
      action: 'entry.read',
      summary: 'Registration entries, the oldest first.',
      query: entryQuery,
      answer: entryPage,
      example: { answer: { items: [EXAMPLE] } },
      async handle({ caller, query: { agent, service, attestor, node, ...page } }) {
        if (agent !== undefined && service !== undefined) throw oneOnly();
        const filter = { ...given('agent', agent ?? service), ...given('attestor', attestor), ...given('node', node) };
        return pageAnswer(await entries.list(caller, filter, page), entryAnswer);
      },
    }),
    operation({
      id: 'listOwnEntries',
      method: 'GET',
      path: '/v1/entries/own',
      access: 'caller',
      action: 'entry.read',
      summary: 'The registration entries by which the caller, an instance of a service, lets workloads in.',
      query: ownEntriesQuery,
      answer: ownEntries,
      cache: 'no-cache, private',
      example: { answer: { revision: 3, entries: [EXAMPLE] } },
      async handle({ caller, query }) {
        const { revision, entries: found, next } = await entries.own(caller, query);
        return { revision, entries: found.map(entryAnswer), ...given('next_after', next) };
      },
    }),
    operation({
      id: 'getEntry',
      method: 'GET',
      path: '/v1/entries/{id}',
      access: 'caller',
      action: 'entry.read',
      summary: 'One registration entry.',
      params: byId,
      answer: entry,
      example: { answer: EXAMPLE },
      handle: async ({ caller, params: { id } }) => entryAnswer(await entries.show(caller, id)),
    }),
    operation({
      id: 'removeEntry',
      method: 'DELETE',
      path: '/v1/entries/{id}',
      access: 'caller',
      action: 'entry.manage',
      summary:
        'Removes a registration entry: nobody is let in by it any more, and no node renews for whom it let in by it.',
      params: byId,
      answer: entry,
      example: { answer: EXAMPLE },
      handle: async ({ caller, params: { id }, idempotency }) =>
        entryAnswer(await entries.remove(caller, id, { idempotency })),
    }),
  ];
}

/** The shape has made sure that one of each pair is there. */
function inputOf({ agent, service, attestor, node, ...body }: wire.CreateEntry): EntryInput {
  return {
    agent: (agent ?? service)!,
    kind: service === undefined ? 'agent' : 'service',
    source: attestor === undefined ? { node: node! } : { attestor },
    match: body.match,
    ...given('hint', body.hint),
    ...given('workflow', body.workflow),
    ...given('scopes', body.scopes),
    ...given('labels', body.labels),
    ...given('lifetimeSeconds', body.lifetime_seconds),
    ...given('federatesWith', body.federates_with),
    ...given('per', body.per),
  };
}

function entryAnswer(found: ShownEntry): wire.Entry {
  return {
    id: found.id,
    kind: found.kind,
    name: found.agent,
    ...found.source,
    match: found.match,
    ...given('hint', found.hint),
    ...given('workflow', found.workflow),
    ...given('lifetime_seconds', found.lifetimeSeconds),
    scopes: found.scopes,
    labels: found.labels,
    federates_with: found.federatesWith,
    per: found.per,
    created_by: found.createdBy,
    created_at: timeText(found.createdAt),
  };
}

function oneOnly(): WritError {
  return new WritError('bad_request', 'Entries are for an agent or a service, not both.', {
    field: '?service',
    remedy: 'Give one of agent and service.',
  });
}

const EXAMPLE: wire.Entry = {
  id: '01kaj8wzzzzzzzzzzzzzzzzzzz',
  kind: 'agent',
  name: 'planner',
  node: 'host',
  match: ['unix:uid=1000'],
  scopes: [],
  labels: {},
  federates_with: [],
  per: 'process',
  created_by: 'spiffe://agents.example.com/operator/ada',
  created_at: '2026-11-22T14:00:00.000Z',
};
