import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import type { Reply } from '../http/route.ts';
import type { LedgerResource } from '../ledger/serve.ts';
import { byRest } from '../wire/path.ts';
import { NOTE_TYPE, OCTETS_TYPE } from './media-types.ts';
import { type Nothing, type Operation, operation } from './operation.ts';

/** The documents of the log (C2SP tlog-tiles). */
export interface LedgerDocuments {
  /** What stands at a path below the log's prefix; undefined when there is nothing (yet). */
  resource(path: string): Promise<LedgerResource | undefined>;
  /** The verifier keys of the log, one a line. */
  keys(): Promise<string>;
  /** Asks policy for `ledger.read`; throws its refusal. Entries are not public. */
  demandEntries(caller: Caller): void;
}

export function ledgerDocumentOperations(ledger: LedgerDocuments): Operation[] {
  return [
    operation<Nothing, Nothing, Nothing, Reply>({
      id: 'getCheckpoint',
      method: 'GET',
      path: '/ledger/checkpoint',
      access: 'public',
      summary: 'The latest checkpoint of the ledger, a signed note.',
      raw: NOTE_TYPE,
      handle: async () => replyOf(await ledger.resource('checkpoint')),
    }),
    operation<Nothing, Nothing, Nothing, Reply>({
      id: 'getLedgerKeys',
      method: 'GET',
      path: '/ledger/keys',
      access: 'public',
      summary: 'The keys by which checkpoints are verified, one a line (C2SP signed-note).',
      raw: NOTE_TYPE,
      handle: async () => ({ status: 200, type: NOTE_TYPE, body: await ledger.keys(), cache: 'public, max-age=300' }),
    }),
    operation<{ readonly path: string }, Nothing, Nothing, Reply>({
      id: 'getEntryBundle',
      method: 'GET',
      path: '/ledger/tile/entries/{path...}',
      access: 'caller',
      action: 'ledger.read',
      summary: 'Up to 256 entries, each after its length in two octets.',
      params: byRest,
      raw: OCTETS_TYPE,
      async handle({ caller, params: { path } }) {
        ledger.demandEntries(caller);
        return replyOf(await ledger.resource(`tile/entries/${path}`));
      },
    }),
    operation<{ readonly path: string }, Nothing, Nothing, Reply>({
      id: 'getTile',
      method: 'GET',
      path: '/ledger/tile/{path...}',
      access: 'public',
      summary: 'Up to 256 hashes of the Merkle tree: /ledger/tile/<level>/<index>, with .p/<width> for a partial tile.',
      params: byRest,
      raw: OCTETS_TYPE,
      async handle({ params: { path } }) {
        const found = await ledger.resource(`tile/${path}`);
        // The other route is for entries; should a spelling ever lead past it, they still do not leave here.
        return replyOf(found?.restricted === true ? undefined : found);
      },
    }),
  ];
}

function replyOf(found: LedgerResource | undefined): Reply {
  if (found === undefined) {
    throw new WritError('not_found', 'The ledger has no such document.', {
      remedy: 'The size in /ledger/checkpoint says which tiles there are; of the last one ask for a partial tile.',
    });
  }
  return { status: 200, type: found.contentType, body: found.body, cache: found.cacheControl };
}
