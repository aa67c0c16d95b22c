import { WritError } from '../base/error.ts';
import type { Reader } from '../db/database.ts';
import { Edge, tileLevels } from '../merkle/edge.ts';
import { HASH_SIZE, leafHash } from '../merkle/hash.ts';
import { TILE_WIDTH } from '../merkle/tile.ts';
import { readEntries, readTileRoots } from './store.ts';

/** A process that is further behind than this reads the edge anew instead of following entry by entry. */
const FOLLOW_AT_MOST = 4096;

/**
 * The right edge of the stored tree at `size`: the partial tile of the lowest level from the entries themselves, the
 * others from the roots of full tiles. At most 255 rows a level. Whoever uses it compares its root.
 */
export async function loadEdge(reader: Reader, size: number): Promise<Edge> {
  const partial: Uint8Array[] = [];
  for (let level = 0; level < tileLevels(size); level++) {
    const end = Math.floor(size / TILE_WIDTH ** level);
    const start = end - (end % TILE_WIDTH);
    const hashes =
      level === 0
        ? (await readEntries(reader, start, end)).map(leafHash)
        : await readTileRoots(reader, level - 1, start, end);
    partial.push(Buffer.concat(hashes, (end - start) * HASH_SIZE));
  }
  return Edge.restore(size, partial);
}

/** The edge at `size` from an edge at a smaller size, following what other processes appended. */
export async function followEdge(reader: Reader, edge: Edge, size: number): Promise<Edge> {
  if (size < edge.size) {
    throw new WritError('ledger_corrupt', `the ledger went back from ${edge.size} to ${size} entries while in use`, {
      remedy: 'Stop every server on this database before restoring a backup, then start again.',
    });
  }
  if (size - edge.size > FOLLOW_AT_MOST) return loadEdge(reader, size);
  const next = edge.clone();
  for (const entry of await readEntries(reader, edge.size, size)) next.append(leafHash(entry));
  return next;
}
