import type { Cause } from '../ca/revocation-cause.ts';
import type { Batch } from '../db/batch.ts';
import { decodeCursor, encodeCursor, type Page, type PageRequest, pageLimit } from '../db/cursor.ts';
import type { Reader, Row } from '../db/database.ts';
import type { Hold } from '../registry/hold.ts';

/**
 * - `quarantined`: held, which may be lifted.
 * - `revoking`: held for good; what it covers is being stopped for ever in bounded steps.
 * - `revoked`: all that it covered is stopped for ever. An authority stays held for it.
 * - `released`: it holds nothing any more.
 */
export type StopState = 'quarantined' | 'revoking' | 'revoked' | 'released';

/** One pull of the cord, and what became of it. Plain data. */
export interface StopRecord extends Omit<Hold, 'stop'> {
  readonly id: string;
  readonly state: StopState;
  /** Whether certificates are yet to be held, released or revoked. */
  readonly unmarked: boolean;
  readonly cause: Cause;
  /** Caller id, as all who are named here. */
  readonly stoppedBy: string;
  /** The rules that allowed it. */
  readonly authority: readonly string[];
  readonly evidence?: string;
  /** Milliseconds, as all times here. */
  readonly stoppedAt: number;
  /** Who asked that it be for ever. While it is only quarantined this waits for another person. */
  readonly revocationBy?: string;
  readonly confirmedBy?: string;
  readonly confirmedAt?: number;
  readonly releasedBy?: string;
  readonly releasedAt?: number;
}

const COLUMNS =
  'id, kind, target, descend, state, unmarked, cause, stopped_by, authority, evidence, stopped_at, revocation_by, ' +
  'confirmed_by, confirmed_at, released_by, released_at';

/** `fallen`: instances that one person ends for ever with it, alone. */
export function insertStop(batch: Batch, stop: StopRecord, fallen = 0): void {
  batch.writes.push({
    sql:
      'INSERT INTO stop (id, kind, target, descend, state, unmarked, cause, stopped_by, authority, evidence, stopped_at, ' +
      'revocation_by, fallen) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    params: [
      stop.id,
      stop.kind,
      stop.target,
      stop.descend ? 1 : 0,
      stop.state,
      stop.unmarked ? 1 : 0,
      stop.cause,
      stop.stoppedBy,
      JSON.stringify(stop.authority),
      stop.evidence ?? '',
      stop.stoppedAt,
      stop.revocationBy ?? null,
      fallen,
    ],
  });
}

export async function readStop(reader: Reader, id: string): Promise<StopRecord | undefined> {
  const row = await reader.get(`SELECT ${COLUMNS} FROM stop WHERE id = ?`, [id]);
  return row === undefined ? undefined : stopOf(row);
}

/** The newest stop of a target that was for ever and reached as far, for whoever stops it again. */
export async function readRevocationOf(
  reader: Reader,
  { kind, target, descend }: Omit<Hold, 'stop'>,
): Promise<StopRecord | undefined> {
  const row = await reader.get(
    `SELECT ${COLUMNS} FROM stop WHERE kind = ? AND target = ? AND descend >= ? AND state IN ('revoking', 'revoked') ORDER BY id DESC LIMIT 1`,
    [kind, target, descend ? 1 : 0],
  );
  return row === undefined ? undefined : stopOf(row);
}

/** Stops of which certificates are yet to be marked: nearly always none. */
export async function readUnmarkedStops(reader: Reader): Promise<StopRecord[]> {
  return (await reader.all(`SELECT ${COLUMNS} FROM stop WHERE unmarked = 1 ORDER BY id`)).map(stopOf);
}

/** Newest first. */
export async function listStops(
  reader: Reader,
  filter: { readonly state?: StopState },
  request: PageRequest,
): Promise<Page<StopRecord>> {
  const limit = pageLimit(request);
  const { state } = filter;
  const before = request.cursor === undefined ? '~' : decodeCursor(request.cursor, 'stops', { state }, ['string'])[0]!;
  const rows = await reader.all(
    `SELECT ${COLUMNS} FROM stop WHERE id < ?${state === undefined ? '' : ' AND state = ?'} ORDER BY id DESC LIMIT ${limit + 1}`,
    [before, ...(state === undefined ? [] : [state])],
  );
  const items = rows.slice(0, limit).map(stopOf);
  if (rows.length <= limit) return { items };
  return { items, next: encodeCursor('stops', { state }, [items.at(-1)!.id]) };
}

/** When the oldest of the stops began that hold something now; undefined while nothing is held. */
export async function readHeldSince(reader: Reader): Promise<number | undefined> {
  const row = await reader.get('SELECT MIN(s.stopped_at) AS since FROM hold h JOIN stop s ON s.id = h.stop');
  return (row?.['since'] as number | null | undefined) ?? undefined;
}

/** Adds up, as `fallen`, what somebody ended for ever alone since an instant, more than one instance at a time. */
export function fallenQuery(callers: readonly string[], since: number): { sql: string; params: (string | number)[] } {
  return {
    sql:
      'SELECT CAST(COALESCE(SUM(fallen), 0) AS BIGINT) AS fallen FROM stop WHERE fallen > 1 AND ' +
      `COALESCE(confirmed_by, stopped_by) IN (${callers.map(() => '?').join(', ')}) AND ` +
      'COALESCE(confirmed_at, stopped_at) > ?',
    params: [...callers, since],
  };
}

/** The commit looks again: the stop is in this state, asked to be for ever by whoever it was when it was read. */
export function requireState(batch: Batch, { id, state, revocationBy }: StopRecord): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM stop WHERE id = ? AND state = ? AND revocation_by IS NOT DISTINCT FROM ?',
    params: [id, state, revocationBy ?? null],
    want: 'present',
    refusal: 'conflict',
    reason: 'The stop was changed meanwhile.',
  });
}

/** The commit looks again: the target was not stopped for ever meanwhile, so that one record says it. */
export function requireNotRevoked(batch: Batch, { kind, target, descend }: Omit<Hold, 'stop'>): void {
  batch.checks.push({
    sql: "SELECT 1 FROM stop WHERE kind = ? AND target = ? AND descend >= ? AND state IN ('revoking', 'revoked')",
    params: [kind, target, descend ? 1 : 0],
    want: 'absent',
    refusal: 'conflict',
    reason: 'It was stopped for ever meanwhile.',
  });
}

/** Pushes that somebody asked that a quarantine be for ever, which another has to confirm. */
export function askForRevocation(batch: Batch, stop: StopRecord, by: string, cause: Cause): void {
  requireState(batch, stop);
  batch.writes.push({ sql: 'UPDATE stop SET revocation_by = ?, cause = ? WHERE id = ?', params: [by, cause, stop.id] });
}

/** Pushes that what is held is to be stopped for ever. `fallen` as in `insertStop`. */
export function beginRevocation(
  batch: Batch,
  stop: StopRecord,
  how: { readonly by: string; readonly at: number; readonly cause: Cause; readonly fallen: number },
): void {
  const { by, at, cause, fallen } = how;
  requireState(batch, stop);
  batch.writes.push({
    sql:
      "UPDATE stop SET state = 'revoking', unmarked = 1, confirmed_by = ?, confirmed_at = ?, cause = ?, fallen = ? " +
      'WHERE id = ?',
    params: [by, at, cause, fallen, stop.id],
  });
}

/** Pushes that a quarantine is lifted; the certificates are yet to be marked so. */
export function beginRelease(
  batch: Batch,
  stop: StopRecord,
  { by, at }: { readonly by: string; readonly at: number },
): void {
  requireState(batch, stop);
  batch.writes.push({
    sql: "UPDATE stop SET state = 'released', unmarked = 1, released_by = ?, released_at = ? WHERE id = ?",
    params: [by, at, stop.id],
  });
}

/** Pushes that every certificate is marked, unless the stop has come to another state meanwhile. */
export function finishMarking(batch: Batch, stop: StopRecord, state: StopState = stop.state): void {
  requireState(batch, stop);
  batch.writes.push({ sql: 'UPDATE stop SET state = ?, unmarked = 0 WHERE id = ?', params: [state, stop.id] });
}

function stopOf(row: Row): StopRecord {
  const optional = (name: string, column: string): object =>
    row[column] === null || row[column] === '' ? {} : { [name]: row[column] };
  return {
    id: row['id'] as string,
    kind: row['kind'] as StopRecord['kind'],
    target: row['target'] as string,
    descend: row['descend'] === 1,
    state: row['state'] as StopState,
    unmarked: row['unmarked'] === 1,
    cause: row['cause'] as Cause,
    stoppedBy: row['stopped_by'] as string,
    authority: JSON.parse(row['authority'] as string) as string[],
    stoppedAt: row['stopped_at'] as number,
    ...optional('evidence', 'evidence'),
    ...optional('revocationBy', 'revocation_by'),
    ...optional('confirmedBy', 'confirmed_by'),
    ...optional('confirmedAt', 'confirmed_at'),
    ...optional('releasedBy', 'released_by'),
    ...optional('releasedAt', 'released_at'),
  };
}
