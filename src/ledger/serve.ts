import { isWritError } from '../base/error.ts';
import type { Reader } from '../db/database.ts';
import { encodeBundle } from '../merkle/bundle.ts';
import { parseTilePath, TILE_WIDTH, type TileName, tileWidth } from '../merkle/tile.ts';
import { latestCheckpoint } from './checkpoint-store.ts';
import { readHead } from './head.ts';
import { readEntries } from './store.ts';
import { tileHashes } from './stored-tree.ts';

/** What a door sends for a path below `/ledger/`. */
export interface LedgerResource {
  readonly contentType: string;
  readonly cacheControl: string;
  readonly body: Uint8Array;
  /** Entries: only for an auditor or an operator. Checkpoints and hashes are public. */
  readonly restricted: boolean;
}

/**
 * Finds the resource of a path below the log's prefix (C2SP tlog-tiles v0.1.0): `checkpoint`, `tile/<L>/<N>[.p/<W>]`,
 * `tile/entries/<N>[.p/<W>]`. Undefined when there is none (yet): answer 404 and let nobody cache it. Partial tiles of
 * every size that the log ever had are there, not only those of published checkpoints.
 */
export async function ledgerResource(reader: Reader, path: string): Promise<LedgerResource | undefined> {
  if (path === 'checkpoint') return checkpointResource(reader);
  const tile = parsePath(path);
  if (tile === undefined) return undefined;
  const level = tile.level === 'entries' ? 0 : tile.level;
  const head = await readHead(reader);
  if (head === undefined || tileWidth(level, tile.index, head.size) < tile.width) return undefined;
  // What a tile or bundle holds never changes.
  const kept = { contentType: 'application/octet-stream', cacheControl: 'public, max-age=31536000, immutable' };
  if (tile.level !== 'entries') {
    return { ...kept, body: await tileHashes(reader, level, tile.index, tile.width), restricted: false };
  }
  const start = tile.index * TILE_WIDTH;
  const body = encodeBundle(await readEntries(reader, start, start + tile.width));
  // Not `public`: a shared cache must not hand it to those who may not see it.
  return { ...kept, cacheControl: 'private, max-age=31536000, immutable', body, restricted: true };
}

/** The latest checkpoint with both signatures, at most a second behind the head. */
async function checkpointResource(reader: Reader): Promise<LedgerResource | undefined> {
  const checkpoint = await latestCheckpoint(reader);
  if (checkpoint === undefined) return undefined;
  return {
    contentType: 'text/plain; charset=utf-8',
    cacheControl: 'public, max-age=1',
    body: Buffer.from(checkpoint.note),
    restricted: false,
  };
}

function parsePath(path: string): TileName | undefined {
  try {
    return parseTilePath(path);
  } catch (error) {
    if (isWritError(error, 'bad_note')) return undefined;
    throw error;
  }
}
