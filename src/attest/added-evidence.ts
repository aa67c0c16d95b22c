import type { Batch } from '../db/batch.ts';
import { onlyAgentFacts } from '../wire/runtime-facts.ts';
import { digestOf } from './attest-evidence.ts';
import type { EvidenceFacts } from './evidence.ts';
import { type InstanceEvidence, insertInstanceEvidence } from './evidence-store.ts';

/** Of these facts two say how the others are known, and are there beside every one of them. */
const ABOUT_OTHERS: ReadonlySet<string> = new Set(['agent:claimed', 'agent:verified']);

/** What a runtime says of its agent now and said nothing of `before`; undefined where that is nothing. */
export function addedFacts(before: EvidenceFacts, now: EvidenceFacts): EvidenceFacts | undefined {
  const later = Object.entries(onlyAgentFacts(now)).filter(([name]) => !Object.hasOwn(before, name));
  return later.some(([name]) => !ABOUT_OTHERS.has(name)) ? onlyAgentFacts(now) : undefined;
}

/** What was attested of an instance that was let in on no more than a token. */
export function noEvidence(instance: string, kind: string, at: number): InstanceEvidence {
  return { instance, kind, digest: new Uint8Array(), facts: {}, at };
}

/**
 * Attests it from now on: whoever says something else of it afterwards has changed. The commit looks whether what it adds to
 * is still what was read.
 */
export function addEvidence(
  batch: Batch,
  before: InstanceEvidence,
  said: EvidenceFacts,
  { caller, agent }: { readonly caller: string; readonly agent: string },
): void {
  const { instance, entry } = before;
  const facts = { ...before.facts, ...said };
  const digest = digestOf({ ...(entry === undefined ? {} : { entry }), facts });
  const isFirst = before.digest.length === 0;
  batch.checks.push({
    sql: `SELECT 1 FROM instance_evidence WHERE instance = ?${isFirst ? '' : ' AND digest = ?'}`,
    params: isFirst ? [instance] : [instance, before.digest],
    want: isFirst ? 'absent' : 'present',
    refusal: 'conflict',
    reason: 'More was attested of the instance just now.',
  });
  if (isFirst) insertInstanceEvidence(batch, { ...before, digest, facts });
  else {
    batch.writes.push({
      sql: 'UPDATE instance_evidence SET digest = ?, facts = ? WHERE instance = ?',
      params: [digest, JSON.stringify(facts), instance],
    });
  }
  // What is remembered of the instance has its facts.
  batch.bumpsEpoch = true;
  batch.events.push({
    type: 'evidence.added',
    subjects: [`agent:${agent}`, `instance:${instance}`],
    body: { caller, agent, instance, facts: said, evidence_sha256: Buffer.from(digest).toString('hex') },
  });
}
