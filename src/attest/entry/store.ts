import { type Batch, newBatch } from '../../db/batch.ts';
import { decodeCursor, encodeCursor, type Page, type PageRequest, pageLimit } from '../../db/cursor.ts';
import type { Reader, Row } from '../../db/database.ts';
import type { Labels } from '../token/store.ts';
import type { EntrySource, RegistrationEntry } from './entry.ts';

const COLUMNS =
  'id, attestor, node, agent, matchers, hint, workflow, scopes, labels, lifetime_seconds, federates_with, per, created_at, ' +
  'created_by';

export async function readEntry(reader: Reader, id: string): Promise<RegistrationEntry | undefined> {
  const row = await reader.get(`SELECT ${COLUMNS} FROM registration_entry WHERE id = ?`, [id]);
  return row === undefined ? undefined : entryOf(row);
}

export interface EntryFilter {
  readonly agent?: string;
  readonly attestor?: string;
  readonly node?: string;
}

/** Oldest first. */
export async function listEntries(
  reader: Reader,
  { agent, attestor, node }: EntryFilter,
  request: PageRequest,
): Promise<Page<RegistrationEntry>> {
  const limit = pageLimit(request);
  const filters = { agent, attestor, node };
  const after = request.cursor === undefined ? '' : decodeCursor(request.cursor, 'entries', filters, ['string'])[0]!;
  const stated = Object.entries(filters).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const where = stated.map(([column]) => `${column} = ? AND `).join('');
  const rows = await reader.all(
    `SELECT ${COLUMNS} FROM registration_entry WHERE ${where}id > ? ORDER BY id LIMIT ${limit + 1}`,
    [...stated.map(([, value]) => value), after],
  );
  const items = rows.slice(0, limit).map(entryOf);
  if (rows.length <= limit) return { items };
  return { items, next: encodeCursor('entries', filters, [items.at(-1)!.id]) };
}

/** Entries of an attestor or node with ids above `after`, oldest first; at most `limit`. */
export async function entriesOf(
  reader: Reader,
  source: EntrySource,
  after: string,
  limit: number,
): Promise<RegistrationEntry[]> {
  const [column, name] =
    'attestor' in source ? (['attestor', source.attestor] as const) : (['node', source.node] as const);
  const rows = await reader.all(
    `SELECT ${COLUMNS} FROM registration_entry WHERE ${column} = ? AND id > ? ORDER BY id LIMIT ?`,
    [name, after, limit],
  );
  return rows.map(entryOf);
}

/** Whether there is any entry of an attestor or node. */
export async function hasEntries(reader: Reader, source: EntrySource): Promise<boolean> {
  return (await entriesOf(reader, source, '', 1)).length > 0;
}

/** Entries that let in as one of these agents, or give a label (as it reads in labels as they are stored). */
type EntriesFor = { readonly agents: readonly string[] } | { readonly label: string };

/** Oldest first, with ids above `after`; at most `limit`. */
export async function entriesFor(
  reader: Reader,
  of: EntriesFor,
  { after = '', limit }: { readonly after?: string; readonly limit: number },
): Promise<RegistrationEntry[]> {
  const [condition, params] =
    'label' in of
      ? (["REPLACE(labels, ?, '') <> labels", [of.label]] as const)
      : ([`agent IN (${of.agents.map(() => '?').join(', ')})`, of.agents] as const);
  if (params.length === 0) return [];
  const rows = await reader.all(
    `SELECT ${COLUMNS} FROM registration_entry WHERE ${condition} AND id > ? ORDER BY id LIMIT ?`,
    [...params, after, limit],
  );
  return rows.map(entryOf);
}

/** Counts what was created and removed for a node or attestor: tells one set of its entries from every other. */
export async function readRevision(reader: Reader, source: EntrySource): Promise<number> {
  const row = await reader.get('SELECT revision FROM registration_revision WHERE source = ?', [keyOf(source)]);
  return row === undefined ? 0 : (row['revision'] as number);
}

/** How many entries stand that an operator made. */
export async function countEntriesOf(reader: Reader, operator: string): Promise<number> {
  const row = await reader.get('SELECT COUNT(*) AS n FROM registration_entry WHERE created_by LIKE ?', [
    // There is one trust domain, and the name of an operator has no sign of a pattern in it.
    `spiffe://%/operator/${operator}`,
  ]);
  return Number(row?.['n']);
}

function keyOf(source: EntrySource): string {
  return 'node' in source ? `node:${source.node}` : `attestor:${source.attestor}`;
}

function entryOf(row: Row): RegistrationEntry {
  const optional = (name: string, column: string): object => (row[column] === null ? {} : { [name]: row[column] });
  return {
    id: row['id'] as string,
    source: row['attestor'] === null ? { node: row['node'] as string } : { attestor: row['attestor'] as string },
    agent: row['agent'] as string,
    match: JSON.parse(row['matchers'] as string) as string[],
    ...optional('hint', 'hint'),
    ...optional('workflow', 'workflow'),
    scopes: JSON.parse(row['scopes'] as string) as string[],
    labels: JSON.parse(row['labels'] as string) as Labels,
    ...optional('lifetimeSeconds', 'lifetime_seconds'),
    federatesWith: JSON.parse(row['federates_with'] as string) as string[],
    per: row['per'] as 'process' | 'node',
    createdAt: row['created_at'] as number,
    createdBy: row['created_by'] as string,
  };
}

export function insertEntry(batch: Batch, entry: RegistrationEntry): void {
  const { source } = entry;
  const node = 'node' in source ? source.node : null;
  if ('attestor' in source) {
    batch.checks.push({
      sql: 'SELECT 1 FROM attestor WHERE name = ?',
      params: [source.attestor],
      want: 'present',
      refusal: 'conflict',
      reason: 'The attestor was removed meanwhile.',
    });
  }
  batch.writes.push({
    sql: `INSERT INTO registration_entry (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    params: [
      entry.id,
      'attestor' in source ? source.attestor : null,
      node,
      entry.agent,
      JSON.stringify(entry.match),
      entry.hint ?? null,
      entry.workflow ?? null,
      JSON.stringify(entry.scopes),
      JSON.stringify(entry.labels),
      entry.lifetimeSeconds ?? null,
      JSON.stringify(entry.federatesWith),
      entry.per,
      entry.createdAt,
      entry.createdBy,
    ],
  });
  bumpRevision(batch, source);
}

/** The commit looks again: the entry is still there. */
export function requireEntry(batch: Batch, id: string, refusal: 'conflict' | 'evidence_refused' = 'conflict'): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM registration_entry WHERE id = ?',
    params: [id],
    want: 'present',
    refusal,
    reason: 'The registration entry was removed meanwhile.',
  });
}

export function deleteEntry(batch: Batch, { id, source }: RegistrationEntry): void {
  requireEntry(batch, id);
  batch.writes.push({ sql: 'DELETE FROM registration_entry WHERE id = ?', params: [id] });
  bumpRevision(batch, source);
}

/** Writes after which an entry is gone, whether it is there or not: as a restore needs them. */
export function withoutEntry(id: string, source: EntrySource): Batch['writes'] {
  const batch = newBatch();
  batch.writes.push({ sql: 'DELETE FROM registration_entry WHERE id = ?', params: [id] });
  bumpRevision(batch, source);
  return batch.writes;
}

function bumpRevision(batch: Batch, source: EntrySource): void {
  batch.writes.push({
    sql:
      'INSERT INTO registration_revision (source, revision) VALUES (?, 1) ' +
      'ON CONFLICT (source) DO UPDATE SET revision = registration_revision.revision + 1',
    params: [keyOf(source)],
  });
}
