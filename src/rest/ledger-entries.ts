import type { Caller } from '../base/access.ts';
import type { Page, PageRequest } from '../db/cursor.ts';
import type { Reply } from '../http/route.ts';
import type { RecordedEvent } from '../ledger/entry.ts';
import type * as wire from '../wire/ledger.ts';
import { ledgerEntry, ledgerPage, ledgerQuery } from '../wire/ledger.ts';
import { byIndex } from '../wire/path.ts';
import { NOTE_TYPE } from './media-types.ts';
import { type Nothing, type Operation, operation } from './operation.ts';
import { given, pageAnswer, timeText } from './render.ts';

/** What the routes under `/v1/ledger` need. Each asks policy for `ledger.read`. */
export interface LedgerEntries {
  /** In the order of the log; of one subject, or all from an index on. */
  list(
    caller: Caller,
    filter: { readonly subject?: string; readonly from?: number },
    page: PageRequest,
  ): Promise<Page<RecordedEvent>>;
  /** Throws `not_found`, as does the next. */
  show(caller: Caller, index: number): Promise<RecordedEvent>;
  /** A tlog-proof. */
  receipt(caller: Caller, index: number): Promise<string>;
}

export function ledgerEntryOperations(ledger: LedgerEntries): Operation[] {
  return [
    operation({
      id: 'listLedgerEntries',
      method: 'GET',
      path: '/v1/ledger/entries',
      access: 'caller',
      action: 'ledger.read',
      summary: 'Entries in the order of the log: of one subject, or all from an index on.',
      query: ledgerQuery,
      answer: ledgerPage,
      example: { answer: { items: [EXAMPLE] } },
      handle: async ({ caller, query: { limit, cursor, ...filter } }) =>
        pageAnswer(
          await ledger.list(caller, filter, { ...given('limit', limit), ...given('cursor', cursor) }),
          entryAnswer,
        ),
    }),
    operation({
      id: 'getLedgerEntry',
      method: 'GET',
      path: '/v1/ledger/entries/{index}',
      access: 'caller',
      action: 'ledger.read',
      summary: 'One entry.',
      params: byIndex,
      answer: ledgerEntry,
      example: { answer: EXAMPLE },
      handle: async ({ caller, params: { index } }) => entryAnswer(await ledger.show(caller, index)),
    }),
    operation<{ readonly index: number }, Nothing, Nothing, Reply>({
      id: 'getLedgerReceipt',
      method: 'GET',
      path: '/v1/ledger/entries/{index}/receipt',
      access: 'caller',
      action: 'ledger.read',
      summary: 'The proof that an entry is in the log (C2SP tlog-proof). It verifies offline.',
      params: byIndex,
      raw: NOTE_TYPE,
      handle: async ({ caller, params: { index } }) => ({
        status: 200,
        type: NOTE_TYPE,
        body: await ledger.receipt(caller, index),
      }),
    }),
  ];
}

export function entryAnswer({ leaf, type, time, subjects, body }: RecordedEvent): wire.LedgerEntry {
  return { index: leaf, type, time: timeText(time), subjects, body };
}

const EXAMPLE: wire.LedgerEntry = {
  index: 48_211,
  type: 'agent.registered',
  time: '2026-11-22T14:03:22.000Z',
  subjects: ['agent:planner', 'owner:payments'],
  body: { caller: 'spiffe://agents.example.com/operator/ada', name: 'planner' },
};
