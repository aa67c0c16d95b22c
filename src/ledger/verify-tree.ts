import { isWritError } from '../base/error.ts';
import type { Reader } from '../db/database.ts';
import { Edge, type FullTile } from '../merkle/edge.ts';
import { equalBytes, HASH_SIZE, leafHash } from '../merkle/hash.ts';
import { hashAt, subtreeRoot, TILE_BYTES, TILE_WIDTH } from '../merkle/tile.ts';
import { decodeEntry, type RecordedEvent } from './entry.ts';
import type { Report } from './index-check.ts';

export interface TreeVerification {
  readonly reader: Reader;
  /** Leaves that the head says there are. */
  readonly size: number;
  readonly report: Report;
  /** Gets every entry that can be read, in order, at most 256 at a time. */
  readonly events: (events: readonly RecordedEvent[]) => Promise<void>;
  /** Called with the number of leaves done. */
  readonly progress: (leaves: number) => void;
}

/**
 * Hashes every stored entry, compares every stored tile with what that gives, and reports the tree's root at each of
 * `sizes` (ascending) to `root`. Where an entry and its tile disagree, the tile's root one level up says which of them is
 * wrong, and the other one is used from there on: one altered octet is one finding, not a thousand.
 *
 * Memory: one tile's worth of entries.
 */
export async function verifyTree(
  { reader, size, report, events, progress }: TreeVerification,
  sizes: readonly number[],
  root: (size: number, root: Uint8Array) => void,
): Promise<void> {
  const edge = new Edge();
  let tiles = 0;
  let nextSize = 0;
  const rootsUpTo = (): void => {
    for (; sizes[nextSize] === edge.size; nextSize++) root(edge.size, edge.root());
  };
  rootsUpTo();
  for (let start = 0; start < size; start += TILE_WIDTH) {
    const width = Math.min(TILE_WIDTH, size - start);
    const entries = await entriesFrom(reader, start, width);
    await events(decodeAll(entries, start, report));
    for (const leaf of await leafHashes(reader, { start, width, entries, report })) {
      for (const tile of edge.append(leaf)) {
        tiles++;
        await compareTile(reader, tile, report);
      }
      rootsUpTo();
    }
    progress(start + width);
  }
  await compareCount(reader, 'ledger_entry', size, report);
  await compareCount(reader, 'ledger_tile', tiles, report);
}

async function entriesFrom(reader: Reader, start: number, width: number): Promise<(Uint8Array | undefined)[]> {
  const entries = new Array<Uint8Array | undefined>(width).fill(undefined);
  const rows = await reader.all('SELECT leaf, entry FROM ledger_entry WHERE leaf >= ? AND leaf < ?', [
    start,
    start + width,
  ]);
  for (const row of rows) entries[(row['leaf'] as number) - start] = row['entry'] as Uint8Array;
  return entries;
}

function decodeAll(entries: readonly (Uint8Array | undefined)[], start: number, report: Report): RecordedEvent[] {
  const events: RecordedEvent[] = [];
  for (const [i, entry] of entries.entries()) {
    if (entry === undefined) continue;
    try {
      events.push(decodeEntry(start + i, entry));
    } catch (error) {
      if (!isWritError(error, 'ledger_corrupt')) throw error;
      report(`entry ${start + i}`, error.message.replace(/^.*of the ledger /, ''));
    }
  }
  return events;
}

/** The leaf hashes of up to 256 entries: their own, or those of the stored tile where that is to be believed. */
async function leafHashes(
  reader: Reader,
  part: { start: number; width: number; entries: readonly (Uint8Array | undefined)[]; report: Report },
): Promise<Uint8Array[]> {
  const { start, width, entries, report } = part;
  const own = entries.map((entry) => (entry === undefined ? new Uint8Array(HASH_SIZE) : leafHash(entry)));
  for (const [i, entry] of entries.entries()) if (entry === undefined) report(`entry ${start + i}`, 'is missing');
  if (width < TILE_WIDTH) return own;
  const row = await reader.get('SELECT root, hashes FROM ledger_tile WHERE level = 0 AND tile = ?', [
    start / TILE_WIDTH,
  ]);
  const hashes = row?.['hashes'] as Uint8Array | undefined;
  if (hashes?.length !== TILE_BYTES || equalBytes(Buffer.concat(own), hashes)) return own;
  const believable = equalBytes(subtreeRoot(hashes, 0, TILE_WIDTH), row!['root'] as Uint8Array);
  if (!believable) return own;
  const stored = own.map((_, i) => Buffer.from(hashAt(hashes, i)));
  for (const [i, hash] of own.entries()) {
    if (entries[i] !== undefined && !equalBytes(hash, stored[i]!)) {
      report(`entry ${start + i}`, 'is not the entry that was hashed into the tree');
    }
  }
  return stored;
}

async function compareTile(reader: Reader, { level, index, root, hashes }: FullTile, report: Report): Promise<void> {
  const row = await reader.get('SELECT root, hashes FROM ledger_tile WHERE level = ? AND tile = ?', [level, index]);
  const where = `tile ${level}/${index}`;
  if (row === undefined) return report(where, 'is missing');
  if (!equalBytes(row['hashes'] as Uint8Array, hashes)) report(where, 'does not hold the hashes of what is below it');
  if (!equalBytes(row['root'] as Uint8Array, root)) report(where, 'has another root than its hashes');
}

async function compareCount(reader: Reader, table: string, expected: number, report: Report): Promise<void> {
  const row = await reader.get(`SELECT COUNT(*) AS number_of_rows FROM ${table}`);
  const stored = Number(row!['number_of_rows']);
  if (stored !== expected) report(table, `has ${stored} rows where the head asks for ${expected}`);
}
