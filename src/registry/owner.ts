import type { Batch } from '../db/batch.ts';
import { decodeCursor, encodeCursor, type Page, type PageRequest, pageLimit } from '../db/cursor.ts';
import type { Reader, Row } from '../db/database.ts';
import type { Name } from '../spiffe-id/name.ts';

/** A team that answers for agents. */
export interface Owner {
  readonly team: Name;
  readonly status: 'active' | 'gone';
  /** Milliseconds. */
  readonly createdAt: number;
  readonly updatedAt: number;
}

const COLUMNS = 'team, status, created_at, updated_at';

export async function readOwner(reader: Reader, team: string): Promise<Owner | undefined> {
  const row = await reader.get(`SELECT ${COLUMNS} FROM owner WHERE team = ?`, [team]);
  return row === undefined ? undefined : ownerOf(row);
}

/** Teams in the order of their names. */
export async function listOwners(reader: Reader, request: PageRequest): Promise<Page<Owner>> {
  const limit = pageLimit(request);
  const after = request.cursor === undefined ? '' : decodeCursor(request.cursor, 'owners', {}, ['string'])[0]!;
  const rows = await reader.all(`SELECT ${COLUMNS} FROM owner WHERE team > ? ORDER BY team LIMIT ${limit + 1}`, [
    after,
  ]);
  const items = rows.slice(0, limit).map(ownerOf);
  if (rows.length <= limit) return { items };
  return { items, next: encodeCursor('owners', {}, [items.at(-1)!.team]) };
}

function ownerOf(row: Row): Owner {
  return {
    team: row['team'] as Name,
    status: row['status'] as Owner['status'],
    createdAt: row['created_at'] as number,
    updatedAt: row['updated_at'] as number,
  };
}

/** Makes sure that a team exists; one that is gone is refused (`inactive`). */
export function requireOwner(batch: Batch, team: Name, now: number): void {
  batch.checks.push({
    sql: "SELECT 1 FROM owner WHERE team = ? AND status = 'gone'",
    params: [team],
    want: 'absent',
    refusal: 'inactive',
    reason: 'The team is gone and answers for nothing any more.',
  });
  batch.writes.push({
    sql: `INSERT INTO owner (${COLUMNS}) VALUES (?, 'active', ?, ?) ON CONFLICT (team) DO NOTHING`,
    params: [team, now, now],
  });
}

/** Sets the status of a team that has the other one. Caches of standing must go: epoch. */
export function setOwnerStatus(batch: Batch, team: string, status: Owner['status'], now: number): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM owner WHERE team = ? AND status <> ?',
    params: [team, status],
    want: 'present',
    refusal: 'conflict',
    reason: 'The team was changed meanwhile.',
  });
  batch.writes.push({
    sql: 'UPDATE owner SET status = ?, updated_at = ? WHERE team = ?',
    params: [status, now, team],
  });
  batch.bumpsEpoch = true;
}
