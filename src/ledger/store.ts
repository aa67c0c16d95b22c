import { WritError } from '../base/error.ts';
import type { Reader } from '../db/database.ts';
import { TILE_WIDTH } from '../merkle/tile.ts';

/** How many entries one query brings: at most 16 MiB, in practice 300 KiB. */
const PAGE = TILE_WIDTH;

/** The entries of the leaves start … end − 1, in order. `ledger_corrupt` when one of them is missing. */
export async function readEntries(reader: Reader, start: number, end: number): Promise<Uint8Array[]> {
  const entries: Uint8Array[] = [];
  for (let from = start; from < end; from += PAGE) {
    const to = Math.min(end, from + PAGE);
    const rows = await reader.all('SELECT leaf, entry FROM ledger_entry WHERE leaf >= ? AND leaf < ? ORDER BY leaf', [
      from,
      to,
    ]);
    if (rows.length !== to - from) throw missing('an entry', `between ${from} and ${to - 1}`);
    for (const row of rows) entries.push(row['entry'] as Uint8Array);
  }
  return entries;
}

/** The entry of one leaf, or undefined when there is none (yet). */
export async function readEntry(reader: Reader, leaf: number): Promise<Uint8Array | undefined> {
  const row = await reader.get('SELECT entry FROM ledger_entry WHERE leaf = ?', [leaf]);
  return row?.['entry'] as Uint8Array | undefined;
}

/** The roots of the full tiles start … end − 1 at a level. `ledger_corrupt` when one of them is missing. */
export async function readTileRoots(reader: Reader, level: number, start: number, end: number): Promise<Uint8Array[]> {
  if (start === end) return [];
  const rows = await reader.all(
    'SELECT root FROM ledger_tile WHERE level = ? AND tile >= ? AND tile < ? ORDER BY tile',
    [level, start, end],
  );
  if (rows.length !== end - start) throw missing(`a tile at level ${level}`, `between ${start} and ${end - 1}`);
  return rows.map((row) => row['root'] as Uint8Array);
}

/** The hashes of one full tile. `ledger_corrupt` when it is missing. */
export async function readTile(reader: Reader, level: number, index: number): Promise<Uint8Array> {
  const row = await reader.get('SELECT hashes FROM ledger_tile WHERE level = ? AND tile = ?', [level, index]);
  if (row === undefined) throw missing(`a tile at level ${level}`, `with index ${index}`);
  return row['hashes'] as Uint8Array;
}

function missing(what: string, where: string): WritError {
  return new WritError('ledger_corrupt', `the ledger lacks ${what} ${where}`, {
    remedy: 'Run "writ ledger verify" on a copy of the data to see how far the damage goes.',
  });
}
