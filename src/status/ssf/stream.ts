import type { Batch } from '../../db/batch.ts';
import type { Reader, Row } from '../../db/database.ts';

type StreamStatus = 'enabled' | 'paused' | 'disabled';

/** Somebody who is told of stops (SSF 1.0 §8.1.1). */
export interface Stream {
  readonly id: string;
  /** SPIFFE ID of the operator, or of the agent or service whose instances manage it. */
  readonly owner: string;
  readonly audience: string;
  readonly description?: string;
  readonly method: 'push' | 'poll';
  /** Where SETs are pushed to. */
  readonly endpoint?: string;
  /** Value of the Authorization header for pushing, closed in the secret box under the stream's id. */
  readonly authorization?: Uint8Array;
  /** Event types as asked for, known or not. */
  readonly eventsRequested: readonly string[];
  readonly status: StreamStatus;
  readonly reason?: string;
  /** Counts changes from 1. */
  readonly version: number;
  /** Stops whose entry stands before this index are none of its business. */
  readonly fromLeaf: number;
  readonly delivered: number;
  readonly deliveredAt?: number;
  readonly verifiedAt?: number;
  readonly createdAt: number;
  readonly updatedAt: number;
}

const COLUMNS =
  'id, owner, audience, description, method, endpoint, authorization_sealed, events_requested, status, reason, version, ' +
  'from_leaf, delivered, delivered_at, verified_at, created_at, updated_at';

export async function readStream(reader: Reader, id: string): Promise<Stream | undefined> {
  const row = await reader.get(`SELECT ${COLUMNS} FROM signal_stream WHERE id = ?`, [id]);
  return row === undefined ? undefined : streamOf(row);
}

/** All streams, or those of one owner, the oldest first. There are at most `MOST_STREAMS`. */
export async function listStreams(reader: Reader, owner?: string): Promise<Stream[]> {
  const where = owner === undefined ? '' : ' WHERE owner = ?';
  const params = owner === undefined ? [] : [owner];
  return (await reader.all(`SELECT ${COLUMNS} FROM signal_stream${where} ORDER BY id`, params)).map(streamOf);
}

/** Each stop becomes a row for each stream. */
const MOST_STREAMS = 100;

/** Pushes a new stream. The commit refuses it with `conflict` where there are as many as there may be. */
export function insertStream(batch: Batch, stream: Stream): void {
  batch.checks.push({
    sql: 'SELECT 1 AS found FROM (SELECT COUNT(*) AS streams FROM signal_stream) counted WHERE streams < ?',
    params: [MOST_STREAMS],
    want: 'present',
    refusal: 'conflict',
    reason: `There are ${MOST_STREAMS} streams, and no more may be; delete one first.`,
  });
  batch.writes.push({
    sql: `INSERT INTO signal_stream (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    params: [
      stream.id,
      stream.owner,
      stream.audience,
      stream.description ?? '',
      stream.method,
      stream.endpoint ?? '',
      stream.authorization ?? null,
      JSON.stringify(stream.eventsRequested),
      stream.status,
      stream.reason ?? '',
      stream.version,
      stream.fromLeaf,
      stream.delivered,
      stream.deliveredAt ?? null,
      stream.verifiedAt ?? null,
      stream.createdAt,
      stream.updatedAt,
    ],
  });
}

/** Pushes what its owner changed of a stream that was read before. Refused with `conflict` when it changed meanwhile. */
export function updateStream(batch: Batch, before: Stream, after: Stream): void {
  requireVersion(batch, before);
  batch.writes.push({
    sql:
      'UPDATE signal_stream SET description = ?, method = ?, endpoint = ?, authorization_sealed = ?, ' +
      'events_requested = ?, status = ?, reason = ?, version = ?, verified_at = ?, updated_at = ? WHERE id = ?',
    params: [
      after.description ?? '',
      after.method,
      after.endpoint ?? '',
      after.authorization ?? null,
      JSON.stringify(after.eventsRequested),
      after.status,
      after.reason ?? '',
      before.version + 1,
      after.verifiedAt ?? null,
      after.updatedAt,
      before.id,
    ],
  });
}

/** Pushes the end of a stream, with all that waits in it. */
export function deleteStream(batch: Batch, stream: Stream): void {
  requireVersion(batch, stream);
  batch.writes.push(
    { sql: 'DELETE FROM signal_event WHERE stream = ?', params: [stream.id] },
    { sql: 'DELETE FROM signal_stream WHERE id = ?', params: [stream.id] },
  );
}

function requireVersion(batch: Batch, { id, version }: Stream): void {
  batch.checks.push({
    sql: 'SELECT 1 AS found FROM signal_stream WHERE id = ? AND version = ?',
    params: [id, version],
    want: 'present',
    refusal: 'conflict',
    reason: 'The stream was changed meanwhile; read it and try again.',
  });
}

function streamOf(row: Row): Stream {
  const text = (name: string): string | undefined => (row[name] === '' ? undefined : (row[name] as string));
  const optional = <K extends string, T>(name: K, value: T | null | undefined): { [key in K]?: T } =>
    (value === null || value === undefined ? {} : { [name]: value }) as { [key in K]?: T };
  return {
    id: row['id'] as string,
    owner: row['owner'] as string,
    audience: row['audience'] as string,
    ...optional('description', text('description')),
    method: row['method'] as Stream['method'],
    ...optional('endpoint', text('endpoint')),
    ...optional('authorization', row['authorization_sealed'] as Uint8Array | null),
    eventsRequested: JSON.parse(row['events_requested'] as string) as string[],
    status: row['status'] as StreamStatus,
    ...optional('reason', text('reason')),
    version: row['version'] as number,
    fromLeaf: row['from_leaf'] as number,
    delivered: row['delivered'] as number,
    ...optional('deliveredAt', row['delivered_at'] as number | null),
    ...optional('verifiedAt', row['verified_at'] as number | null),
    createdAt: row['created_at'] as number,
    updatedAt: row['updated_at'] as number,
  };
}
