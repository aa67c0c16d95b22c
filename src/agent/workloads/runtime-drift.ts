import type { Runtime } from '../../wire/runtime.ts';
import { driftOf, runtimeFacts } from '../../wire/runtime-facts.ts';

/** Whether what a runtime says now takes something back that it said before. Where it says nothing at all, nothing is known. */
export function contradicts(before: Runtime | undefined, now: Runtime | undefined): boolean {
  if (before === now || before === undefined || now === undefined) return false;
  return driftOf(runtimeFacts(before, {}), runtimeFacts(now, {})).length > 0;
}

/** Whether both say the same of the agent. */
export function agree(one: Runtime = {}, other: Runtime = {}): boolean {
  return !contradicts(one, other) && !contradicts(other, one);
}
