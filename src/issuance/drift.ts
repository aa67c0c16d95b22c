import { addEvidence, addedFacts, noEvidence } from '../attest/added-evidence.ts';
import { readInstanceEvidence } from '../attest/evidence-store.ts';
import { orderedFacts } from '../attest/facts.ts';
import { imageSignerOf } from '../attest/verifier/image-signature.ts';
import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import type { Batch } from '../db/batch.ts';
import { readInstance } from '../registry/instance.ts';
import type { Runtime } from '../wire/runtime.ts';
import { driftOf, onlyAgentFacts, runtimeFacts } from '../wire/runtime-facts.ts';
import type { IssuanceParts } from './parts.ts';

/** What is done about an instance that is not any more what was let in. */
export interface DriftParts {
  /** Holds the instance until a person has looked. `names`: of the facts that are other ones now; `caller`: who says so. */
  readonly drifted: (instance: string, names: readonly string[], caller: Caller) => Promise<void>;
}

/**
 * Compares what the runtime of an instance says with what it has said before. Throws `inactive` where it is another one; the
 * instance is held by then. Gives what attests the rest, of which it has said nothing before, with the certificate.
 */
export async function requireNoDrift(
  caller: Caller,
  runtime: Runtime | undefined,
  parts: Pick<IssuanceParts, 'reader' | 'clock'> & DriftParts,
): Promise<((batch: Batch) => void) | undefined> {
  const { instance } = caller;
  if (instance === undefined || runtime === undefined) return undefined;
  const known = await readInstance(parts.reader, instance);
  if (known === undefined) return undefined;
  const before =
    (await readInstanceEvidence(parts.reader, instance)) ?? noEvidence(instance, known.attestation, parts.clock.now());
  // Only the runtime speaks here, so what was proven of the image is compared by its value alone.
  const now = orderedFacts(runtimeFacts(runtime, {}, await imageSignerOf(runtime, parts.reader)), '/runtime');
  await holdDrifted(before.instance, driftOf(onlyAgentFacts(before.facts), now), caller, parts);
  const later = addedFacts(before.facts, now);
  if (later === undefined) return undefined;
  return (batch) => addEvidence(batch, before, later, { caller: caller.id, agent: known.agent });
}

/** Holds an instance of which something changed, and throws `inactive`; does nothing where nothing did. */
export async function holdDrifted(
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
