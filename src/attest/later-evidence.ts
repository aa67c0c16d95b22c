import type { Batch } from '../db/batch.ts';
import { onlyAgentFacts } from '../wire/runtime-facts.ts';
import { digestOf } from './attest-evidence.ts';
import type { EvidenceFacts } from './evidence.ts';
import type { InstanceEvidence } from './evidence-store.ts';

/** Of these facts two say how the others are known, and are there beside every one of them. */
const ABOUT_OTHERS: ReadonlySet<string> = new Set(['agent:claimed', 'agent:verified']);

/** What a runtime says of its agent now and said nothing of when it was let in; undefined where that is nothing. */
export function saidLater({ facts: before }: InstanceEvidence, now: EvidenceFacts): EvidenceFacts | undefined {
  const later = Object.entries(onlyAgentFacts(now)).filter(([name]) => !Object.hasOwn(before, name));
  return later.some(([name]) => !ABOUT_OTHERS.has(name)) ? onlyAgentFacts(now) : undefined;
}

/**
 * Attests it from now on: whoever says something else of it afterwards has changed. The commit looks whether what it adds to
 * is still what was read.
 */
export function keepSaidLater(
  batch: Batch,
  before: InstanceEvidence,
  said: EvidenceFacts,
  { caller, agent }: { readonly caller: string; readonly agent: string },
): void {
  const { instance, entry } = before;
  const facts = { ...before.facts, ...said };
  const digest = digestOf({ ...(entry === undefined ? {} : { entry }), facts });
  batch.checks.push({
    sql: 'SELECT 1 FROM instance_evidence WHERE instance = ? AND digest = ?',
    params: [instance, before.digest],
    want: 'present',
    refusal: 'conflict',
    reason: 'More was attested of the instance just now.',
  });
  batch.writes.push({
    sql: 'UPDATE instance_evidence SET digest = ?, facts = ? WHERE instance = ?',
    params: [digest, JSON.stringify(facts), instance],
  });
  // What is remembered of the instance has its facts.
  batch.bumpsEpoch = true;
  batch.events.push({
    type: 'evidence.added',
    subjects: [`agent:${agent}`, `instance:${instance}`],
    body: { caller, agent, instance, facts: said, evidence_sha256: Buffer.from(digest).toString('hex') },
  });
}
