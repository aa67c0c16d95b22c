import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import { decodeCursor, encodeCursor, type Page, pageLimit } from '../db/cursor.ts';
import type { Reply } from '../http/route.ts';
import type { RecordedEvent } from '../ledger/entry.ts';
import type * as wire from '../wire/ledger.ts';
import { ledgerEntry, ledgerPage, ledgerQuery } from '../wire/ledger.ts';
import { byIndex } from '../wire/path.ts';
import { NOTE_TYPE } from './media-types.ts';
import { type Nothing, type Operation, operation } from './operation.ts';
import { pageAnswer, timeText } from './render.ts';

/** What the routes under `/v1/ledger` need. */
export interface LedgerEntries {
  /** Asks policy for `ledger.read`; throws its refusal. */
  demandRead(caller: Caller): void;
  /** Of one subject, those after an index, in the order of the log. */
  eventsOf(query: {
    readonly subject: string;
    readonly after: number;
    readonly limit: number;
  }): Promise<RecordedEvent[]>;
  /** From an index on, at most `limit`. */
  eventsFrom(index: number, limit: number): Promise<RecordedEvent[]>;
  event(index: number): Promise<RecordedEvent | undefined>;
  /** A tlog-proof. Throws `not_found`. */
  receipt(index: number): Promise<string>;
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
      async handle({ caller, query }) {
        ledger.demandRead(caller);
        return pageAnswer(await listEntries(ledger, query), entryAnswer);
      },
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
      async handle({ caller, params: { index } }) {
        ledger.demandRead(caller);
        const event = await ledger.event(index);
        if (event !== undefined) return entryAnswer(event);
        throw new WritError('not_found', 'The ledger has no entry of this number.', {
          remedy: 'Give one from 0 to below the size of the latest checkpoint.',
        });
      },
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
      async handle({ caller, params: { index } }) {
        ledger.demandRead(caller);
        return { status: 200, type: NOTE_TYPE, body: await ledger.receipt(index) };
      },
    }),
  ];
}

/** The cursor is the index of the last entry shown. */
async function listEntries(ledger: LedgerEntries, query: wire.LedgerQuery): Promise<Page<RecordedEvent>> {
  const { subject, from = 0, cursor } = query;
  const filters = { subject, from };
  const limit = pageLimit(query);
  const seen = cursor === undefined ? from - 1 : Number(decodeCursor(cursor, 'ledger', filters, ['number'])[0]);
  const items =
    subject === undefined
      ? await ledger.eventsFrom(seen + 1, limit + 1)
      : await ledger.eventsOf({ subject, after: seen, limit: limit + 1 });
  if (items.length <= limit) return { items };
  const page = items.slice(0, limit);
  return { items: page, next: encodeCursor('ledger', filters, [page.at(-1)!.leaf]) };
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
