import { setImmediate as turn } from 'node:timers/promises';
import { type Batch, type CommitBatch, newBatch } from '../../db/batch.ts';
import { committed } from '../../db/committed.ts';
import type { Reader } from '../../db/database.ts';
import { sameBytes } from '../../der/bytes.ts';

/**
 * The list of an authority can have tens of megabytes, of which each list has nearly all in common with the one before:
 * entries of what is revoked for ever, in the order in which that was recorded. These lie in pieces of one size that are
 * written once, a few with each commit, so that nobody waits for a large one. A run is all of them that had not expired
 * at one time, and the same octets whoever collects it.
 */

/** Octets of a piece. */
export const PIECE: number = 64 * 1024;

/** Pieces that one commit writes or removes, and that one read fetches. */
const AT_ONCE = 4;
const READ = 16;

/** The pieces that a list has in common with others. */
export interface Pieces {
  /** Of which run: about the milliseconds before which nothing in it expired. */
  readonly run: number;
  /** How many, from the first. */
  readonly count: number;
  /** Where they stand in the list. */
  readonly at: number;
}

/** How many pieces of a run are there. */
export async function countPieces(reader: Reader, list: string, run: number): Promise<number> {
  const row = await reader.get('SELECT COUNT(*) AS count FROM crl_piece WHERE list = ? AND run = ?', [list, run]);
  return Number(row?.['count'] ?? 0);
}

/**
 * How many pieces of a run are there already, and are the beginning of `octets`. Undefined when one is something else, as
 * another version of the program may have made it: then the run is not to be gone on with.
 */
export async function commonPieces(
  reader: Reader,
  octets: Uint8Array,
  { list, run }: { readonly list: string; readonly run: number },
): Promise<number | undefined> {
  const sql = 'SELECT octets FROM crl_piece WHERE list = ? AND run = ? AND piece >= ? ORDER BY piece LIMIT ?';
  for (let count = 0; ; await turn()) {
    const rows = await reader.all(sql, [list, run, count, READ]);
    for (const row of rows) {
      const ours = octets.subarray(count * PIECE, (count + 1) * PIECE);
      // What another process has seen already, and this one will before it signs.
      if (ours.length < PIECE) return count;
      if (!sameBytes(ours, row['octets'] as Uint8Array)) return undefined;
      count++;
    }
    if (rows.length < READ) return count;
  }
}

/** Writes pieces of a run from number `from` on, as many as `octets` fill, in bounded commits. Gives how many there are. */
export async function writePieces(
  octets: Uint8Array,
  { list, run, from }: { readonly list: string; readonly run: number; readonly from: number },
  commit: CommitBatch,
): Promise<number> {
  const count = Math.floor(octets.length / PIECE);
  for (let next = from; next < count; ) {
    const batch = newBatch();
    for (const end = Math.min(count, next + AT_ONCE); next < end; next++) {
      batch.writes.push({
        sql: 'INSERT INTO crl_piece (list, run, piece, octets) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
        params: [list, run, next, octets.slice(next * PIECE, (next + 1) * PIECE)],
      });
    }
    committed(await commit(batch));
    await turn();
  }
  return count;
}

/** The commit looks again: all these pieces are there. Refused with `conflict`. */
export function requirePieces(batch: Batch, list: string, { run, count }: Pick<Pieces, 'run' | 'count'>): void {
  if (count === 0) return;
  batch.checks.push({
    sql: 'SELECT 1 WHERE (SELECT COUNT(*) FROM crl_piece WHERE list = ? AND run = ? AND piece < ?) = ?',
    params: [list, run, count, count],
    want: 'present',
    refusal: 'conflict',
    reason: 'Another process has begun another run of pieces meanwhile.',
  });
}

/** Removes the pieces of all other runs, in bounded commits. */
export async function dropOtherPieces(
  list: string,
  run: number,
  { reader, commit }: { readonly reader: Reader; readonly commit: CommitBatch },
): Promise<void> {
  const other = 'SELECT run, piece FROM crl_piece WHERE list = ? AND run <> ?';
  while ((await reader.get(`${other} LIMIT 1`, [list, run])) !== undefined) {
    const batch = newBatch();
    batch.writes.push({
      sql: `DELETE FROM crl_piece WHERE list = ? AND (run, piece) IN (${other} LIMIT ${AT_ONCE})`,
      params: [list, list, run],
    });
    committed(await commit(batch));
    await turn();
  }
}

/** Pushes that a few pieces go of lists whose authority has expired. */
export function pushPiecePurge(batch: Batch, now: number): void {
  batch.writes.push({
    sql:
      'DELETE FROM crl_piece WHERE (list, run, piece) IN (SELECT p.list, p.run, p.piece FROM crl_piece p ' +
      `WHERE p.list IN (SELECT id FROM authority WHERE not_after < ?) LIMIT ${AT_ONCE})`,
    params: [now],
  });
}

/**
 * A list whole again: `rest` is what is left of it without its pieces. Those that `kept` has are not read again. Undefined
 * when they are not all there any more, because a newer list has been signed.
 */
export async function withPieces(
  reader: Reader,
  list: string,
  { rest, pieces }: { readonly rest: Uint8Array; readonly pieces: Pieces },
  kept?: { readonly crl: Uint8Array; readonly pieces?: Pieces },
): Promise<Uint8Array | undefined> {
  const { run, count, at } = pieces;
  const whole = new Uint8Array(rest.length + count * PIECE);
  whole.set(rest.subarray(0, at));
  whole.set(rest.subarray(at), at + count * PIECE);
  let next = 0;
  if (kept?.pieces?.run === run) {
    next = Math.min(count, kept.pieces.count);
    whole.set(kept.crl.subarray(kept.pieces.at, kept.pieces.at + next * PIECE), at);
  }
  const sql =
    'SELECT piece, octets FROM crl_piece WHERE list = ? AND run = ? AND piece >= ? AND piece < ? ORDER BY piece';
  while (next < count) {
    const rows = await reader.all(sql, [list, run, next, Math.min(count, next + READ)]);
    if (rows.length !== Math.min(count, next + READ) - next) return undefined;
    for (const row of rows) whole.set(row['octets'] as Uint8Array, at + next++ * PIECE);
    // Nobody else waits in this thread until a long list is together.
    await turn();
  }
  return whole;
}
