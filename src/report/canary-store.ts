import type { Batch } from '../db/batch.ts';
import type { Reader, Row } from '../db/database.ts';
import type { Canary, CanaryReport } from '../wire/canary.ts';

/** How one enforcement point fares, as stored. Times in milliseconds. */
export interface CanaryRow {
  readonly agent: string;
  /** Counts reports from 1. */
  readonly version: number;
  /** The latest. */
  readonly report: CanaryReport;
  /** Instance that reported it. */
  readonly runner: string;
  /** When its child was stopped. */
  readonly stoppedAt: number;
  readonly reportedAt: number;
  readonly lastSuccessAt: number | undefined;
  readonly successes: number;
  readonly failures: number;
  readonly inconclusive: number;
  /** Of all successes. */
  readonly sum: number;
  /** Times to effect of the latest successes, in their order. */
  readonly latest: readonly number[];
}

/** Measurements of a point that are kept for its quantiles. */
const SAMPLES = 128;
/** Points of all agents together. Every reading of all of them is bounded by this. */
export const MOST_POINTS = 1000;
/** Periods without a word after which a point is silent. */
const SILENT_PERIODS = 2;

const READ = 'SELECT * FROM canary WHERE agent = ? AND point = ?';

export async function readCanary(reader: Reader, agent: string, point: string): Promise<CanaryRow | undefined> {
  const row = await reader.get(READ, [agent, point]);
  return row === undefined ? undefined : canaryOf(row);
}

/** All points, by agent and name, after one of them. */
export async function readCanaries(
  reader: Reader,
  { agent, point }: { readonly agent: string; readonly point: string },
  limit: number,
): Promise<CanaryRow[]> {
  const after = 'SELECT * FROM canary WHERE agent > ? OR (agent = ? AND point > ?) ORDER BY agent, point LIMIT ?';
  return (await reader.all(after, [agent, agent, point, limit])).map(canaryOf);
}

function canaryOf(row: Row): CanaryRow {
  return {
    agent: row['agent'] as string,
    version: row['version'] as number,
    report: JSON.parse(row['report'] as string) as CanaryReport,
    runner: row['runner'] as string,
    stoppedAt: row['stopped_at'] as number,
    reportedAt: row['reported_at'] as number,
    lastSuccessAt: (row['last_success_at'] as number | null) ?? undefined,
    successes: row['successes'] as number,
    failures: row['failures'] as number,
    inconclusive: row['inconclusive'] as number,
    sum: row['sum_ms'] as number,
    latest: JSON.parse(row['latest'] as string) as number[],
  };
}

/** The row after one more report. */
export function nextCanary(
  before: CanaryRow | undefined,
  given: Pick<CanaryRow, 'agent' | 'report' | 'runner' | 'stoppedAt' | 'reportedAt'>,
): CanaryRow {
  const { verdict, time_to_effect_ms: took = 0 } = given.report;
  const success = verdict === 'refused';
  const failure = verdict === 'still_accepted';
  return {
    ...given,
    version: (before?.version ?? 0) + 1,
    lastSuccessAt: success ? given.stoppedAt : before?.lastSuccessAt,
    successes: (before?.successes ?? 0) + (success ? 1 : 0),
    failures: (before?.failures ?? 0) + (failure ? 1 : 0),
    inconclusive: (before?.inconclusive ?? 0) + (success || failure ? 0 : 1),
    sum: (before?.sum ?? 0) + (success ? took : 0),
    latest: [...(before?.latest ?? []), ...(success ? [took] : [])].slice(-SAMPLES),
  };
}

/** Replaces a row by the next. Refused with `conflict` when another report came between. */
export function pushCanary(batch: Batch, row: CanaryRow): void {
  const { agent, version, report } = row;
  const key = [agent, report.point];
  if (version === 1) {
    const full = 'SELECT 1 FROM (SELECT COUNT(*) AS known FROM canary) c WHERE c.known >= ?';
    batch.checks.push(
      { sql: READ, params: key, want: 'absent', refusal: 'conflict', reason: 'The point was reported meanwhile.' },
      {
        ...{ sql: full, params: [MOST_POINTS], want: 'absent', refusal: 'too_large' },
        reason: `${MOST_POINTS} points are known already.`,
      },
    );
  } else {
    batch.checks.push({
      ...{ sql: `${READ} AND version = ?`, params: [...key, version - 1], want: 'present', refusal: 'conflict' },
      reason: 'The point was reported meanwhile.',
    });
    batch.writes.push({ sql: 'DELETE FROM canary WHERE agent = ? AND point = ?', params: key });
  }
  batch.writes.push({
    sql:
      'INSERT INTO canary (agent, point, version, report, runner, stopped_at, reported_at, last_success_at, successes, ' +
      'failures, inconclusive, sum_ms, latest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    params: [
      ...[agent, report.point, version, JSON.stringify(report), row.runner, row.stoppedAt, row.reportedAt],
      ...[row.lastSuccessAt ?? null, row.successes, row.failures, row.inconclusive, row.sum],
      JSON.stringify(row.latest),
    ],
  });
}

/** Takes a point out. Refused with `not_found` when it is not known. */
export function pushCanaryRemoval(batch: Batch, agent: string, point: string): void {
  const reason = 'No such point has been reported.';
  batch.checks.push({ sql: READ, params: [agent, point], want: 'present', refusal: 'not_found', reason });
  batch.writes.push({ sql: 'DELETE FROM canary WHERE agent = ? AND point = ?', params: [agent, point] });
}

/** How a point fares at a moment. A failure goes on until another report says otherwise, also in silence. */
export function canaryStatus({ report, reportedAt }: CanaryRow, now: number): Canary['status'] {
  const { verdict, period_seconds: period } = report;
  if (verdict === 'still_accepted') return 'failing';
  if (period !== undefined && now - reportedAt > SILENT_PERIODS * period * 1000) return 'silent';
  return verdict === 'refused' ? 'well' : 'unclear';
}

/** Of times to effect that smallest one below which this share of them lies; undefined when there are none. */
export function quantileOf(times: readonly number[], share: number): number | undefined {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

/** A row as it is told. */
export function canaryAnswer(row: CanaryRow, now: number): Canary {
  const { report, latest, lastSuccessAt } = row;
  const [p50, p99, max] = [0.5, 0.99, 1].map((share) => quantileOf(latest, share));
  return {
    agent: row.agent,
    ...report,
    status: canaryStatus(row, now),
    runner: row.runner,
    stopped_at: new Date(row.stoppedAt).toISOString(),
    reported_at: new Date(row.reportedAt).toISOString(),
    samples: latest.length,
    ...(p50 === undefined ? {} : { p50_ms: p50, p99_ms: p99!, max_ms: max! }),
    ...(lastSuccessAt === undefined ? {} : { last_success_at: new Date(lastSuccessAt).toISOString() }),
    successes: row.successes,
    failures: row.failures,
    inconclusive: row.inconclusive,
  };
}

/** Labels by which agents for canaries are known (`policy/default.cedar`). */
const CANARY = { label: 'canary', value: 'true' };

/** Whether these subjects name instances, and all of agents for canaries: what they do is no real work. */
export async function areCanaries(reader: Reader, subjects: readonly string[]): Promise<boolean> {
  const ids = subjects.filter((one) => one.startsWith('instance:')).map((one) => one.slice('instance:'.length));
  if (ids.length === 0) return false;
  const rows = await reader.all(
    'SELECT DISTINCT a.labels FROM instance i JOIN agent a ON a.name = i.agent ' +
      `WHERE i.id IN (${ids.map(() => '?').join(', ')})`,
    ids,
  );
  const labels = rows.map((row) => JSON.parse(row['labels'] as string) as Readonly<Record<string, string>>);
  return labels.length > 0 && labels.every((one) => one[CANARY.label] === CANARY.value);
}
