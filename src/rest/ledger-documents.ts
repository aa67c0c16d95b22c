import type { Caller } from '../base/access.ts';
import { isWritError, WritError } from '../base/error.ts';
import type { Reply } from '../http/route.ts';
import { parseTilePath, type TileName } from '../merkle/tile.ts';
import { byRest } from '../wire/path.ts';
import { NOTE_TYPE, OCTETS_TYPE } from './media-types.ts';
import { type Nothing, type Operation, operation } from './operation.ts';

/** The documents of the log (C2SP tlog-tiles). Only what is committed, and covered by the checkpoint, is ever given. */
export interface LedgerDocuments {
  /** The latest signed checkpoint, verbatim. */
  checkpoint(): Promise<string>;
  /** The verifier keys of the log, one a line. */
  keys(): Promise<string>;
  /** The hashes of a tile; undefined when the tree does not have (so much of) it. */
  tile(tile: TileName): Promise<Uint8Array | undefined>;
  /** The entries of a bundle, likewise. Asks policy: entries are not public. */
  bundle(caller: Caller, tile: TileName): Promise<Uint8Array | undefined>;
}

/** What a complete or partial tile holds never changes. */
const FOR_EVER = 'max-age=31536000, immutable';

export function ledgerDocumentOperations(ledger: LedgerDocuments): Operation[] {
  return [
    operation<Nothing, Nothing, Nothing, Reply>({
      id: 'getCheckpoint',
      method: 'GET',
      path: '/ledger/checkpoint',
      access: 'public',
      summary: 'The latest checkpoint of the ledger, a signed note.',
      raw: NOTE_TYPE,
      handle: async () => ({
        status: 200,
        type: NOTE_TYPE,
        body: await ledger.checkpoint(),
        cache: 'public, max-age=1',
      }),
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
      handle: async ({ caller, params: { path } }) =>
        octets(await ledger.bundle(caller, tileAt(`tile/entries/${path}`)), `private, ${FOR_EVER}`),
    }),
    operation<{ readonly path: string }, Nothing, Nothing, Reply>({
      id: 'getTile',
      method: 'GET',
      path: '/ledger/tile/{path...}',
      access: 'public',
      summary: 'Up to 256 hashes of the Merkle tree: /ledger/tile/<level>/<index>, with .p/<width> for a partial tile.',
      params: byRest,
      raw: OCTETS_TYPE,
      handle: async ({ params: { path } }) => octets(await ledger.tile(tileAt(`tile/${path}`)), `public, ${FOR_EVER}`),
    }),
  ];
}

function tileAt(path: string): TileName {
  try {
    return parseTilePath(path);
  } catch (error) {
    // A path that no tile has is a document that is not there.
    if (isWritError(error, 'bad_note')) throw notThere();
    throw error;
  }
}

function octets(body: Uint8Array | undefined, cache: string): Reply {
  if (body === undefined) throw notThere();
  return { status: 200, type: OCTETS_TYPE, body, cache };
}

function notThere(): WritError {
  return new WritError('not_found', 'The ledger has no such tile.', {
    remedy: 'The size in /ledger/checkpoint says which tiles there are; of the last one ask for a partial tile.',
  });
}
