import { hash } from 'node:crypto';
import type { Batch } from '../db/batch.ts';
import type { Reader, Row } from '../db/database.ts';

/** A published policy set. */
export interface PolicySet {
  /** Counts the sets from 1; the highest is in force. */
  readonly version: number;
  /** Hex SHA-256 of the text. */
  readonly digest: string;
  readonly text: string;
  /** Hex SHA-256 of the schema that it was validated against. */
  readonly schemaDigest: string;
  /** Milliseconds. */
  readonly publishedAt: number;
  /** Caller id. */
  readonly publishedBy: string;
}

const READ =
  'SELECT version, digest, text, schema_digest, published_at, published_by FROM policy_set ORDER BY version DESC';

/** The set in force; undefined before the first was published. */
export async function readPolicySet(reader: Reader): Promise<PolicySet | undefined> {
  const row = await reader.get(`${READ} LIMIT 1`);
  return row === undefined ? undefined : policySetOf(row);
}

/** Number of the set in force; 0 before the first. */
export async function readPolicyVersion(reader: Reader): Promise<number> {
  const row = await reader.get('SELECT version FROM policy_set ORDER BY version DESC LIMIT 1');
  return (row?.['version'] ?? 0) as number;
}

/** The newest sets, at most `limit`. */
export async function listPolicySets(reader: Reader, limit: number): Promise<PolicySet[]> {
  const rows = await reader.all(`${READ} LIMIT ?`, [limit]);
  return rows.map(policySetOf);
}

function policySetOf(row: Row): PolicySet {
  return {
    version: row['version'] as number,
    digest: row['digest'] as string,
    text: row['text'] as string,
    schemaDigest: row['schema_digest'] as string,
    publishedAt: row['published_at'] as number,
    publishedBy: row['published_by'] as string,
  };
}

export function digestOf(text: string): string {
  return hash('sha256', text);
}

/** Makes a set the one in force, after the version before it and no other; the event holds the whole text. */
export function insertPolicySet(batch: Batch, set: PolicySet): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM policy_set WHERE version >= ?',
    params: [set.version],
    want: 'absent',
    refusal: 'conflict',
    reason: 'Another policy set was published meanwhile.',
  });
  batch.writes.push({
    sql: 'INSERT INTO policy_set (version, digest, text, schema_digest, published_at, published_by) VALUES (?, ?, ?, ?, ?, ?)',
    params: [set.version, set.digest, set.text, set.schemaDigest, set.publishedAt, set.publishedBy],
  });
  batch.events.push({
    type: 'policy.published',
    subjects: [`policy:${set.version}`],
    body: {
      caller: set.publishedBy,
      version: set.version,
      digest: set.digest,
      schema_digest: set.schemaDigest,
      text: set.text,
    },
  });
  batch.bumpsEpoch = true;
}

/**
 * The commit looks again: the policy set that decided is still in force. Refused with `conflict`: whoever asks afresh is
 * decided by the new one.
 */
export function requirePolicyVersion(batch: Batch, version: number): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM policy_set WHERE version > ?',
    params: [version],
    want: 'absent',
    refusal: 'conflict',
    reason: 'Another policy set was published meanwhile.',
    standing: true,
  });
}
