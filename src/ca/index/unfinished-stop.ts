import type { Batch } from '../../db/batch.ts';
import type { Reader } from '../../db/database.ts';
import type { Cause } from '../revocation-cause.ts';
import type { CertificateRow } from './certificates.ts';

/** A stop whose certificates are being marked as revoked in several commits. */
export interface UnfinishedStop {
  /** `instance:<id>`, `agent:<name>`, `operator:<name>`; for what these let in `descendants:<id>`, `agent-descendants:<name>`. */
  readonly subject: string;
  /** Milliseconds. */
  readonly stoppedAt: number;
  readonly cause: Cause;
  /** Caller id. */
  readonly stoppedBy: string;
}

/** All of them: nearly always none. */
export async function readUnfinishedStops(reader: Reader): Promise<UnfinishedStop[]> {
  const rows = await reader.all('SELECT subject, stopped_at, cause, stopped_by FROM unfinished_stop ORDER BY subject');
  return rows.map((row) => ({
    subject: row['subject'] as string,
    stoppedAt: row['stopped_at'] as number,
    cause: row['cause'] as Cause,
    stoppedBy: row['stopped_by'] as string,
  }));
}

/** Pushes that there is more to mark. */
export function beginStop(batch: Batch, { subject, stoppedAt, cause, stoppedBy }: UnfinishedStop): void {
  batch.writes.push({
    sql:
      'INSERT INTO unfinished_stop (subject, stopped_at, cause, stopped_by) VALUES (?, ?, ?, ?) ' +
      'ON CONFLICT (subject) DO NOTHING',
    params: [subject, stoppedAt, cause, stoppedBy],
  });
}

/** Pushes that all is marked. */
export function finishStop(batch: Batch, subject: string): void {
  batch.writes.push({ sql: 'DELETE FROM unfinished_stop WHERE subject = ?', params: [subject] });
}

/** Whether a certificate had lost its force at `time` because of one of these, though its row does not say so yet. */
export function isStopped(row: CertificateRow, stops: readonly UnfinishedStop[], time: number): boolean {
  const { kind, name, instance } = row;
  const holders = instance === undefined ? [`${kind}:${name}`] : [`agent:${name}`, `instance:${instance}`];
  return stops.some(({ subject, stoppedAt }) => stoppedAt <= time && holders.includes(subject));
}
