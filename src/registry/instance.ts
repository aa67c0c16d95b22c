import type { Batch } from '../db/batch.ts';
import { decodeCursor, encodeCursor, type Page, type PageRequest, pageLimit } from '../db/cursor.ts';
import type { Reader, Row } from '../db/database.ts';
import type { Labels } from './agent.ts';
import { heldColumn, INSTANCE_HELD, isHeld } from './hold.ts';

/** One running copy of an agent or service. Plain data but for the serial numbers. */
export interface Instance {
  readonly id: string;
  readonly agent: string;
  /** `quarantined`: not stopped, but held: by itself, with its agent, or with one that let it in. */
  readonly status: 'active' | 'quarantined' | 'stopped';
  /** Milliseconds. */
  readonly enrolledAt: number;
  readonly stoppedAt?: number;
  /** Content octets. The latest names the partition of its row, and from there the chain of all before it. */
  readonly firstSerial: Uint8Array;
  readonly latestSerial: Uint8Array;
  /** Kind of the evidence on which it was let in, e.g. `join-token`, and which one it was, e.g. the token's id. */
  readonly attestation: string;
  readonly reference: string;
  /** Its evidence ends then; so does every certificate. */
  readonly attestedUntil?: number;
  /** The instance that let it in. */
  readonly parent?: string;
  /** What its certificates say it is for. Never wider than at enrolment. */
  readonly workflow?: string;
  readonly scopes: readonly string[];
  readonly labels: Labels;
}

/** Every query that ends in `instanceOf` begins with this. Names that the agent has, too, are told apart. */
export const INSTANCE_COLUMNS: string =
  'i.id, i.agent, i.status AS instance_status, i.enrolled_at, i.stopped_at, i.first_serial, i.latest_serial, i.attestation, ' +
  'i.reference, i.attested_until, i.parent, i.workflow, i.scopes, i.labels AS instance_labels, ' +
  heldColumn(INSTANCE_HELD, 'instance_held');

const READ = `SELECT ${INSTANCE_COLUMNS} FROM instance i WHERE i.id = ?`;

export async function readInstance(reader: Reader, id: string): Promise<Instance | undefined> {
  const row = await reader.get(READ, [id]);
  return row === undefined ? undefined : instanceOf(row);
}

/** A row of `INSTANCE_COLUMNS` as an instance. */
export function instanceOf(row: Row): Instance {
  return {
    id: row['id'] as string,
    agent: row['agent'] as string,
    status: row['instance_status'] === 'active' && isHeld(row, 'instance_held') ? 'quarantined' : statusOf(row),
    enrolledAt: row['enrolled_at'] as number,
    ...given('stoppedAt', row['stopped_at'] as number | null),
    firstSerial: row['first_serial'] as Uint8Array,
    latestSerial: row['latest_serial'] as Uint8Array,
    attestation: row['attestation'] as string,
    reference: row['reference'] as string,
    ...given('attestedUntil', row['attested_until'] as number | null),
    ...given('parent', row['parent'] as string | null),
    ...given('workflow', row['workflow'] as string | null),
    scopes: JSON.parse(row['scopes'] as string) as string[],
    labels: JSON.parse(row['instance_labels'] as string) as Labels,
  };
}

function statusOf(row: Row): 'active' | 'stopped' {
  return row['instance_status'] as 'active' | 'stopped';
}

function given<K extends string, V>(key: K, value: V | null): { [key in K]?: V } {
  return value === null ? {} : ({ [key]: value } as { [key in K]: V });
}

/** Adds a new instance. Its id is fresh from `newId`, and the primary key refuses it should it exist. */
export function insertInstance(batch: Batch, instance: Instance): void {
  batch.writes.push({
    sql:
      'INSERT INTO instance (id, agent, status, enrolled_at, first_serial, latest_serial, attestation, reference, ' +
      'attested_until, parent, workflow, scopes, labels) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    params: [
      instance.id,
      instance.agent,
      'active',
      instance.enrolledAt,
      instance.firstSerial,
      instance.latestSerial,
      instance.attestation,
      instance.reference,
      instance.attestedUntil ?? null,
      instance.parent ?? null,
      instance.workflow ?? null,
      JSON.stringify(instance.scopes),
      JSON.stringify(instance.labels),
    ],
  });
}

/** Finds the newest certificate of an instance inside another statement; the parameter is the instance's id. */
export const LATEST_SERIAL = '(SELECT latest_serial FROM instance WHERE id = ?)';

/** Content octets of the serial number of the newest certificate of an instance. */
export async function latestSerialOf(reader: Reader, id: string): Promise<Uint8Array | undefined> {
  const row = await reader.get('SELECT latest_serial FROM instance WHERE id = ?', [id]);
  return row?.['latest_serial'] as Uint8Array | undefined;
}

/** The commit looks again: the instance has got no certificate since it was read. */
export function requireLatestSerial(batch: Batch, { id, latestSerial }: Pick<Instance, 'id' | 'latestSerial'>): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM instance WHERE id = ? AND latest_serial = ?',
    params: [id, latestSerial],
    want: 'present',
    refusal: 'conflict',
    reason: 'The instance got another certificate meanwhile.',
  });
}

/** Makes `serial` the newest certificate of an instance. */
export function setLatestSerial(batch: Batch, instance: string, serial: Uint8Array): void {
  batch.writes.push({ sql: 'UPDATE instance SET latest_serial = ? WHERE id = ?', params: [serial, instance] });
}

/** Narrows what the certificates of an instance say it is for. The caller has made sure that it only loses members. */
export function narrowInstance(
  batch: Batch,
  instance: string,
  workflow: string | undefined,
  scopes: readonly string[],
): void {
  batch.writes.push({
    sql: 'UPDATE instance SET workflow = ?, scopes = ? WHERE id = ?',
    params: [workflow ?? null, JSON.stringify(scopes), instance],
  });
}

/**
 * The commit looks again: what the certificates of an instance may say is still what was read. Two renewals may be in
 * flight of which one narrows.
 */
export function requireContext(batch: Batch, { id, workflow, scopes }: Instance): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM instance WHERE id = ? AND scopes = ? AND workflow IS NOT DISTINCT FROM ?',
    params: [id, JSON.stringify(scopes), workflow ?? null],
    want: 'present',
    refusal: 'conflict',
    reason: 'What the certificates of this instance may say was narrowed meanwhile.',
    standing: true,
  });
}

/**
 * Stops an instance for ever; its id is burnt. Refused with `conflict` when it is stopped already, so that the caller
 * can answer with the first time.
 */
export function stopInstance(batch: Batch, instance: string, now: number): void {
  batch.checks.push({
    sql: "SELECT 1 FROM instance WHERE id = ? AND status = 'active'",
    params: [instance],
    want: 'present',
    refusal: 'conflict',
    reason: 'The instance was stopped meanwhile.',
  });
  batch.writes.push({
    sql: "UPDATE instance SET status = 'stopped', stopped_at = ? WHERE id = ?",
    params: [now, instance],
  });
  batch.bumpsEpoch = true;
}

/** Instances of one agent or service, oldest first. Rows that are passed over because of `status` are bounded. */
export async function listInstances(
  reader: Reader,
  filter: { readonly agent: string; readonly status?: Instance['status'] },
  request: PageRequest,
): Promise<Page<Instance>> {
  const limit = pageLimit(request);
  const filters = { agent: filter.agent, status: filter.status };
  const after =
    request.cursor === undefined ? '' : (decodeCursor(request.cursor, 'instances', filters, ['string'])[0] as string);
  const bound = await reader.get('SELECT id FROM instance WHERE agent = ? AND id > ? ORDER BY id LIMIT 1 OFFSET 1999', [
    filter.agent,
    after,
  ]);
  const end = bound?.['id'] as string | undefined;
  const rows = await reader.all(
    `SELECT ${INSTANCE_COLUMNS} FROM instance i WHERE i.agent = ? AND i.id > ?${end === undefined ? '' : ' AND i.id <= ?'}` +
      `${filter.status === undefined ? '' : IN_STATUS[filter.status]} ORDER BY i.id LIMIT ${limit + 1}`,
    [filter.agent, after, ...(end === undefined ? [] : [end])],
  );
  const items = rows.slice(0, limit).map(instanceOf);
  const next = rows.length > limit ? items.at(-1)!.id : end;
  return { items, ...(next === undefined ? {} : { next: encodeCursor('instances', filters, [next]) }) };
}

const IN_STATUS: Readonly<Record<Instance['status'], string>> = {
  active: ` AND i.status = 'active' AND NOT ${INSTANCE_HELD}`,
  quarantined: ` AND i.status = 'active' AND ${INSTANCE_HELD}`,
  stopped: " AND i.status = 'stopped'",
};

/** What an instance let in itself, oldest first, with ids above `after`; at most `limit`. */
export async function listChildren(reader: Reader, parent: string, after: string, limit: number): Promise<Instance[]> {
  const rows = await reader.all(
    `SELECT ${INSTANCE_COLUMNS} FROM instance i WHERE i.parent = ? AND i.id > ? ORDER BY i.id LIMIT ?`,
    [parent, after, limit],
  );
  return rows.map(instanceOf);
}

/** What the instances of one agent or service let in themselves, of whichever agent; else as `listChildren`. */
export async function listChildrenOfAgent(
  reader: Reader,
  agent: string,
  after: string,
  limit: number,
): Promise<Instance[]> {
  const rows = await reader.all(
    `SELECT ${INSTANCE_COLUMNS} FROM instance i WHERE i.parent IS NOT NULL AND i.id > ? ` +
      'AND EXISTS (SELECT 1 FROM instance p WHERE p.id = i.parent AND p.agent = ?) ORDER BY i.id LIMIT ?',
    [after, agent, limit],
  );
  return rows.map(instanceOf);
}

/** How many generations of instances may let each other in. */
export const DEEPEST = 8;

/** The ids of the instances that let this one in, nearest first; empty for one that nobody but an operator let in. */
export async function lineageOf(reader: Reader, instance: Instance): Promise<string[]> {
  const ancestors: string[] = [];
  for (let parent = instance.parent; parent !== undefined && ancestors.length <= DEEPEST; ) {
    ancestors.push(parent);
    const row: Row | undefined = await reader.get('SELECT parent FROM instance WHERE id = ?', [parent]);
    parent = (row?.['parent'] ?? undefined) as string | undefined;
  }
  return ancestors;
}
