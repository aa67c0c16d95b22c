import { hash } from 'node:crypto';
import { WritError } from '../../base/error.ts';
import type { Batch } from '../../db/batch.ts';
import type { Reader, Row } from '../../db/database.ts';
import { LIFETIMES } from '../lifetime.ts';
import { PIECE, type Pieces, requirePieces, withPieces } from './pieces.ts';
import type { SignedCrl } from './sign.ts';

/** What is known of the newest list of a shard, or of an issuing authority as a whole, without the list. */
export interface ListState {
  /** Id of the shard or of the authority. */
  readonly id: string;
  /** Base and delta have one and the same. */
  readonly number: number;
  /** Milliseconds. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  /** When it is signed again though nothing changed; absent: not before somebody asks for it. */
  readonly refreshAt?: number;
  /** The last change of table `revoked` that is in it. */
  readonly sequence: number;
  /** The last list that was signed on schedule. */
  readonly scheduled: ListMark & { readonly at: number };
  /** The list that the delta adds to: the one on schedule before that. */
  readonly base: ListMark;
}

interface ListMark {
  readonly number: number;
  readonly sequence: number;
}

/** A list as it is served. */
export interface ServedList {
  readonly number: number;
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  /** DER. */
  readonly crl: Uint8Array;
  /** Absent for the list of an authority. */
  readonly delta?: Uint8Array;
  /** What of the list of an authority lies in pieces. */
  readonly pieces?: Pieces;
}

const STATE =
  'id, number, this_update, next_update, refresh_at, sequence, scheduled_at, scheduled_number, scheduled_sequence, ' +
  'base_number, base_sequence';

export async function readListState(reader: Reader, id: string): Promise<ListState | undefined> {
  const row = await reader.get(`SELECT ${STATE} FROM crl_list WHERE id = ?`, [id]);
  return row === undefined ? undefined : stateOf(row);
}

/** How often a list may be followed by another while it is put together. */
const TRIES = 8;

/**
 * The newest list, as a whole. What `kept`, an earlier one, has in common with it is not read again. Rejects with
 * `unavailable` when it keeps changing.
 */
export async function readServedList(reader: Reader, id: string, kept?: ServedList): Promise<ServedList | undefined> {
  for (let tries = 0; tries < TRIES; tries++) {
    const row = await reader.get(
      'SELECT number, this_update, next_update, crl, delta, run, pieces, pieces_at FROM crl_list WHERE id = ?',
      [id],
    );
    if (row === undefined) return undefined;
    const delta = row['delta'] as Uint8Array | null;
    const pieces: Pieces = {
      run: row['run'] as number,
      count: row['pieces'] as number,
      at: row['pieces_at'] as number,
    };
    const rest = row['crl'] as Uint8Array;
    const crl = pieces.count === 0 ? rest : await withPieces(reader, id, { rest, pieces }, kept);
    // Another list was signed while this one was put together.
    if (crl === undefined) continue;
    return {
      number: row['number'] as number,
      thisUpdate: row['this_update'] as number,
      nextUpdate: row['next_update'] as number,
      crl,
      ...(delta === null ? {} : { delta }),
      ...(pieces.count === 0 ? {} : { pieces }),
    };
  }
  throw new WritError('unavailable', 'The list keeps changing.', { remedy: 'Ask again in a moment.' });
}

/** What a new list adds to what was known. */
export interface NewList {
  readonly id: string;
  /** Id of the authority that signed. */
  readonly issuer: string;
  readonly crl: SignedCrl;
  readonly delta?: SignedCrl;
  /** What of it is in the database already. */
  readonly pieces?: Pieces;
  readonly sequence: number;
  readonly scheduled: ListState['scheduled'];
  readonly base: ListMark;
  readonly refreshAt?: number;
}

/**
 * Pushes a list in place of the one that was seen, with its entry in the ledger. Refused with `conflict` when another
 * process has signed one meanwhile: so numbers only rise, and each stands for one list.
 */
export function pushList(batch: Batch, before: ListState | undefined, list: NewList): void {
  const { id, issuer, crl, delta, pieces = NO_PIECES, sequence, scheduled, base, refreshAt } = list;
  batch.checks.push({
    sql:
      before === undefined
        ? 'SELECT 1 FROM crl_list WHERE id = ?'
        : 'SELECT 1 FROM crl_list WHERE id = ? AND number = ?',
    params: before === undefined ? [id] : [id, before.number],
    want: before === undefined ? 'absent' : 'present',
    refusal: 'conflict',
    reason: 'Another process has signed this list meanwhile.',
  });
  requirePieces(batch, id, pieces);
  batch.writes.push({
    sql:
      `INSERT INTO crl_list (${STATE}, crl, delta, run, pieces, pieces_at) ` +
      'VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ' +
      `ON CONFLICT (id) DO UPDATE SET ${REPLACED.map((column) => `${column} = excluded.${column}`).join(', ')}`,
    params: [
      id,
      crl.number,
      crl.thisUpdate,
      crl.nextUpdate,
      refreshAt ?? null,
      sequence,
      scheduled.at,
      scheduled.number,
      scheduled.sequence,
      base.number,
      base.sequence,
      withoutPieces(crl.der, pieces),
      delta?.der ?? null,
      pieces.run,
      pieces.count,
      pieces.at,
    ],
  });
  batch.events.push({
    type: 'crl.signed',
    subjects: [`authority:${issuer}`],
    body: {
      caller: 'system:lists',
      authority: issuer,
      ...(id === issuer ? {} : { shard: id }),
      number: crl.number,
      this_update: new Date(crl.thisUpdate).toISOString(),
      next_update: new Date(crl.nextUpdate).toISOString(),
      sha256: hash('sha256', crl.der, 'hex'),
      ...(delta === undefined ? {} : { delta: hash('sha256', delta.der, 'hex') }),
    },
  });
  // A list follows every revocation: where a backup lacks nothing else, a start goes on from the anchor.
  batch.anchored = true;
}

const REPLACED = [...STATE.split(', ').slice(1), 'crl', 'delta', 'run', 'pieces', 'pieces_at'];

const NO_PIECES: Pieces = { run: 0, count: 0, at: 0 };

function withoutPieces(der: Uint8Array, { count, at }: Pieces): Uint8Array {
  return count === 0 ? der : Buffer.concat([der.subarray(0, at), der.subarray(at + count * PIECE)]);
}

/** Milliseconds between two lists on schedule. */
export const SCHEDULE: number = LIFETIMES.leafCrl * 500;

/** Whether a list is to be signed again though nothing changed; also one from the future, of a clock that was ahead. */
export function isDue({ scheduled, refreshAt }: ListState, now: number): boolean {
  return now < scheduled.at || now >= (refreshAt ?? scheduled.at + SCHEDULE);
}

/**
 * What the marks are after a list with this number and these changes. On schedule they move on: the delta then adds to
 * the list on schedule before, so whoever holds that one, or any since, can go on with the delta.
 */
export function nextMarks(
  before: ListState | undefined,
  list: ListMark & { readonly at: number; readonly onSchedule: boolean },
): Pick<ListState, 'scheduled' | 'base'> {
  const { number, sequence, at, onSchedule } = list;
  if (before === undefined) return { scheduled: { at, number, sequence }, base: { number, sequence } };
  if (!onSchedule) return { scheduled: before.scheduled, base: before.base };
  const { number: last, sequence: until } = before.scheduled;
  return { scheduled: { at, number, sequence }, base: { number: last, sequence: until } };
}

function stateOf(row: Row): ListState {
  const refreshAt = row['refresh_at'] as number | null;
  const number = (column: string): number => row[column] as number;
  return {
    id: row['id'] as string,
    number: number('number'),
    thisUpdate: number('this_update'),
    nextUpdate: number('next_update'),
    ...(refreshAt === null ? {} : { refreshAt }),
    sequence: number('sequence'),
    scheduled: {
      at: number('scheduled_at'),
      number: number('scheduled_number'),
      sequence: number('scheduled_sequence'),
    },
    base: { number: number('base_number'), sequence: number('base_sequence') },
  };
}
