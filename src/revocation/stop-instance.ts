import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { CAUSES, type Cause, parseCause } from '../ca/revocation-cause.ts';
import type { Batch } from '../db/batch.ts';
import { whenAnchored } from '../db/when-anchored.ts';
import { type Agent, agentResource } from '../registry/agent.ts';
import { type Instance, stopInstance as pushStop, readInstance, requireLatestSerial } from '../registry/instance.ts';
import { readStanding } from '../registry/standing.ts';
import type { RevocationParts, StopOptions, Why } from './parts.ts';
import { stopInSteps } from './steps.ts';
import { absent, lineageFacts } from './target.ts';

/**
 * Stops an instance for ever: its id is burnt, its certificates are revoked, their keys blocked. Gives the instance as it
 * stands then; one that was stopped before is answered as it was.
 *
 * Throws `bad_request` for a cause that is not on the list, `not_found`, `denied`, `needs_approval`.
 */
export async function stopInstance(
  caller: Caller,
  target: { readonly instance: string } & Why,
  parts: RevocationParts,
  options: StopOptions = {},
): Promise<Instance> {
  const cause = parseCause(target);
  await parts.refresh();
  const standing = await readStanding(parts.reader, target.instance);
  if (standing === undefined) throw absent(caller, 'instance', '/instance', parts);
  const { agent, instance } = standing;
  const context = await lineageFacts(caller, instance.id, parts);
  demand(parts.authorize, { caller, action: 'instance.stop', resource: agentResource(agent), context });
  await options.idempotency?.first();
  if (instance.status === 'stopped') {
    await whenAnchored(parts.commit);
    return instance;
  }

  const at = parts.clock.now();
  await stopInSteps(
    {
      subject: `instance:${instance.id}`,
      stoppedAt: at,
      cause,
      stoppedBy: caller.id,
      filter: { instance: instance.id },
      canBeWhole: true,
      async begin() {
        const now = await readInstance(parts.reader, instance.id);
        if (now?.status !== 'active') return undefined;
        return (batch, whole) => {
          if (whole) requireLatestSerial(batch, now);
          pushStopped(batch, agent, now, { at, cause, caller: caller.id });
          options.idempotency?.keep(batch, { kind: 'reference', reference: instance.id });
        };
      },
    },
    parts,
  );
  return (await readInstance(parts.reader, instance.id)) ?? instance;
}

/** Pushes that an instance is stopped, and the event. */
export function pushStopped(
  batch: Batch,
  agent: Pick<Agent, 'kind' | 'name'>,
  { id }: Instance,
  { at, cause, caller }: { readonly at: number; readonly cause: Cause; readonly caller: string },
): void {
  pushStop(batch, id, at);
  batch.events.push({
    type: 'instance.stopped',
    subjects: [`agent:${agent.name}`, `instance:${id}`],
    body: { caller, agent: agent.name, instance: id, at: new Date(at).toISOString(), reason: CAUSES[cause], cause },
  });
}
