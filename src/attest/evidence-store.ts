import type { Batch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import type { EvidenceFacts } from './evidence.ts';

/** What an instance was let in on, kept so that it can be looked at again. */
export interface InstanceEvidence {
  readonly instance: string;
  /** A kind of attestor, `node`, or `join-token`. */
  readonly kind: string;
  readonly attestor?: string;
  readonly entry?: string;
  /** SHA-256 of the evidence as it came. */
  readonly digest: Uint8Array;
  readonly facts: EvidenceFacts;
  /** Milliseconds. */
  readonly at: number;
}

export async function readInstanceEvidence(reader: Reader, instance: string): Promise<InstanceEvidence | undefined> {
  const row = await reader.get(
    'SELECT instance, kind, attestor, entry, digest, facts, at FROM instance_evidence WHERE instance = ?',
    [instance],
  );
  if (row === undefined) return undefined;
  return {
    instance,
    kind: row['kind'] as string,
    ...(row['attestor'] === null ? {} : { attestor: row['attestor'] as string }),
    ...(row['entry'] === null ? {} : { entry: row['entry'] as string }),
    digest: row['digest'] as Uint8Array,
    facts: JSON.parse(row['facts'] as string) as EvidenceFacts,
    at: row['at'] as number,
  };
}

export function insertInstanceEvidence(batch: Batch, evidence: InstanceEvidence): void {
  batch.writes.push({
    sql: 'INSERT INTO instance_evidence (instance, kind, attestor, entry, digest, facts, at) VALUES (?, ?, ?, ?, ?, ?, ?)',
    params: [
      evidence.instance,
      evidence.kind,
      evidence.attestor ?? null,
      evidence.entry ?? null,
      evidence.digest,
      JSON.stringify(evidence.facts),
      evidence.at,
    ],
  });
}

export async function isUsed(reader: Reader, digest: Uint8Array): Promise<boolean> {
  return (await reader.get('SELECT 1 FROM used_evidence WHERE digest = ?', [digest])) !== undefined;
}

/**
 * Uses evidence that lets in once. The commit looks, one act after another: of two that present it at the same time, also
 * to two replicas, one is let in.
 */
export function useEvidence(
  batch: Batch,
  { digest, until }: { readonly digest: Uint8Array; readonly until: number },
): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM used_evidence WHERE digest = ?',
    params: [digest],
    want: 'absent',
    refusal: 'evidence_refused',
    reason: 'The evidence was used already.',
  });
  batch.writes.push({ sql: 'INSERT INTO used_evidence (digest, until) VALUES (?, ?)', params: [digest, until] });
}

/**
 * Pushes the removal of at most `limit` of what is past its time; refused with `not_found` when there is none. `before`
 * leaves room for a clock that is set back.
 */
export function pushUsedEvidencePurge(batch: Batch, before: number, limit: number): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM used_evidence WHERE until < ?',
    params: [before],
    want: 'present',
    refusal: 'not_found',
    reason: 'No used evidence is past its time.',
  });
  batch.writes.push({
    sql: 'DELETE FROM used_evidence WHERE digest IN (SELECT digest FROM used_evidence WHERE until < ? ORDER BY until LIMIT ?)',
    params: [before, limit],
  });
}
