import { CAUSES, type Cause } from '../ca/revocation-cause.ts';
import type { Batch } from '../db/batch.ts';
import { type Instance, stopInstance as pushStop, readInstance, requireLatestSerial } from '../registry/instance.ts';
import type { MarkingParts } from './parts.ts';
import type { Stopping } from './steps.ts';

/** Since when, why and by whom something is stopped. */
export interface StopFacts {
  /** Milliseconds. */
  readonly at: number;
  readonly cause: Cause;
  /** Caller id. */
  readonly caller: string;
}

/** The stop of one instance. `also` pushes what else belongs to its first commit. */
export function stoppingInstance(
  { id }: Pick<Instance, 'id'>,
  stop: StopFacts,
  { reader }: MarkingParts,
  also?: (batch: Batch) => void,
): Stopping {
  return {
    subject: `instance:${id}`,
    stoppedAt: stop.at,
    cause: stop.cause,
    stoppedBy: stop.caller,
    filter: { instance: id },
    canBeWhole: true,
    async begin() {
      const now = await readInstance(reader, id);
      if (now === undefined || now.status === 'stopped') return undefined;
      return (batch, whole) => {
        if (whole) requireLatestSerial(batch, now);
        pushStopped(batch, now, stop);
        also?.(batch);
      };
    },
  };
}

/** Pushes that an instance is stopped, and the event. */
export function pushStopped(
  batch: Batch,
  { id, agent }: Pick<Instance, 'id' | 'agent'>,
  { at, cause, caller }: StopFacts,
): void {
  pushStop(batch, id, at);
  batch.events.push({
    type: 'instance.stopped',
    subjects: [`agent:${agent}`, `instance:${id}`],
    body: { caller, agent, instance: id, at: new Date(at).toISOString(), reason: CAUSES[cause], cause },
  });
}
