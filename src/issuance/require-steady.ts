import type { EvidenceFacts } from '../attest/evidence.ts';
import { readInstanceEvidence } from '../attest/evidence-store.ts';
import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import type { Runtime } from '../wire/runtime.ts';
import { driftOf, onlyAgentFacts, runtimeFacts } from '../wire/runtime-facts.ts';
import type { IssuanceParts } from './parts.ts';

/** What is done about an instance that is not any more what was let in. */
export interface DriftParts {
  /** Holds the instance until a person has looked. `names`: of the facts that are other ones now; `caller`: who says so. */
  readonly drifted: (instance: string, names: readonly string[], caller: Caller) => Promise<void>;
}

/**
 * Compares what the runtime of an instance says with what it said when the instance was let in. Of one that said nothing
 * then there is nothing to compare. Throws `inactive` where it is another one; the instance is held by then.
 */
export async function requireSteady(
  caller: Caller,
  runtime: Runtime | undefined,
  parts: Pick<IssuanceParts, 'reader'> & DriftParts,
): Promise<void> {
  const { instance } = caller;
  if (instance === undefined || runtime === undefined) return;
  const before = await readInstanceEvidence(parts.reader, instance);
  if (before === undefined) return;
  // Only the runtime speaks here, so what was proven of the image is compared by its value alone.
  const now: EvidenceFacts = runtimeFacts(runtime, {});
  await holdChanged(before.instance, driftOf(onlyAgentFacts(before.facts), now), caller, parts);
}

/** Holds an instance of which something changed, and throws `inactive`; does nothing where nothing did. */
export async function holdChanged(
  instance: string,
  names: readonly string[],
  caller: Caller,
  { drifted }: DriftParts,
): Promise<void> {
  if (names.length === 0) return;
  await drifted(instance, names, caller);
  throw new WritError('inactive', 'What runs there is not what was let in; the instance is quarantined.', {
    remedy: 'Stop it and let it in anew, or ask the team that owns it to look.',
    reasons: names.map((name) => `${name} is another one now.`),
  });
}
