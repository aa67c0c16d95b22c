import type { Batch } from '../../db/batch.ts';
import { decodeCursor, encodeCursor, type Page, type PageRequest, pageLimit } from '../../db/cursor.ts';
import type { Reader, Row } from '../../db/database.ts';
import type { AttestorSettings } from '../../wire/attestor.ts';
import type { Attestor, ShownAttestor } from './attestor.ts';

const COLUMNS =
  'name, kind, parameters, created_at, created_by, ' +
  '(SELECT COUNT(*) FROM registration_entry e WHERE e.attestor = attestor.name) AS entries';

export async function readAttestor(reader: Reader, name: string): Promise<ShownAttestor | undefined> {
  const row = await reader.get(`SELECT ${COLUMNS} FROM attestor WHERE name = ?`, [name]);
  return row === undefined ? undefined : attestorOf(row);
}

/** By name. */
export async function listAttestors(reader: Reader, request: PageRequest): Promise<Page<ShownAttestor>> {
  const limit = pageLimit(request);
  const after = request.cursor === undefined ? '' : decodeCursor(request.cursor, 'attestors', {}, ['string'])[0]!;
  const rows = await reader.all(`SELECT ${COLUMNS} FROM attestor WHERE name > ? ORDER BY name LIMIT ${limit + 1}`, [
    after,
  ]);
  const items = rows.slice(0, limit).map(attestorOf);
  if (rows.length <= limit) return { items };
  return { items, next: encodeCursor('attestors', {}, [items.at(-1)!.name]) };
}

function attestorOf(row: Row): ShownAttestor {
  return {
    name: row['name'] as string,
    settings: {
      kind: row['kind'],
      parameters: JSON.parse(row['parameters'] as string) as unknown,
    } as AttestorSettings,
    createdAt: row['created_at'] as number,
    createdBy: row['created_by'] as string,
    entries: Number(row['entries']),
  };
}

export function insertAttestor(batch: Batch, { name, settings, createdAt, createdBy }: Attestor): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM attestor WHERE name = ?',
    params: [name],
    want: 'absent',
    refusal: 'conflict',
    reason: 'There is an attestor of that name.',
  });
  batch.writes.push({
    sql: 'INSERT INTO attestor (name, kind, parameters, created_at, created_by) VALUES (?, ?, ?, ?, ?)',
    params: [name, settings.kind, JSON.stringify(settings.parameters), createdAt, createdBy],
  });
}

/** The commit looks again: the attestor is the one that was read, and no other of the same name. */
export function requireAttestor(
  batch: Batch,
  { name, createdAt }: Attestor,
  refusal: 'conflict' | 'evidence_refused' = 'conflict',
): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM attestor WHERE name = ? AND created_at = ?',
    params: [name, createdAt],
    want: 'present',
    refusal,
    reason: 'The attestor was removed meanwhile.',
  });
}

/** Refused with `conflict` while a registration entry rests on it. */
export function deleteAttestor(batch: Batch, attestor: Attestor): void {
  requireAttestor(batch, attestor);
  batch.checks.push({
    sql: 'SELECT 1 FROM registration_entry WHERE attestor = ?',
    params: [attestor.name],
    want: 'absent',
    refusal: 'conflict',
    reason: 'Registration entries rest on the attestor.',
  });
  batch.writes.push({ sql: 'DELETE FROM attestor WHERE name = ?', params: [attestor.name] });
}
