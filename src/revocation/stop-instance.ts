import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { parseCause } from '../ca/revocation-cause.ts';
import { type Batch, newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import { whenAnchored } from '../db/when-anchored.ts';
import { type Instance, readInstance } from '../registry/instance.ts';
import { readStanding } from '../registry/standing.ts';
import { beginDescendants, finishDescendants } from './descendants.ts';
import { withEvidence } from './evidence.ts';
import type { RevocationParts, StopOptions, Why } from './parts.ts';
import { stopInSteps } from './steps.ts';
import { stoppingInstance } from './stopping-instance.ts';
import { absent, askedOfInstance } from './target.ts';

/**
 * Stops an instance for ever: its id is burnt, its certificates are revoked, their keys blocked. Where somebody else has
 * its key, so are all that it let in, directly or through others. Gives the instance as it stands then; one that was
 * stopped before is answered as it was.
 *
 * Throws `bad_request` for a cause that is not on the list and evidence that is no link, `not_found`, `denied`, `needs_approval`.
 */
export async function stopInstance(
  caller: Caller,
  target: { readonly instance: string } & Why,
  given: RevocationParts,
  options: StopOptions = {},
): Promise<Instance> {
  const cause = parseCause(target);
  const parts = withEvidence(given, target.evidence);
  await parts.refresh();
  const standing = await readStanding(parts.reader, target.instance);
  if (standing === undefined) throw absent(caller, 'instance', '/instance', parts);
  const { agent, instance } = standing;
  const { resource, facts } = await askedOfInstance(caller, agent, instance.id, parts);
  demand(parts.authorize, { caller, action: 'instance.stop', resource, context: facts });
  await options.idempotency?.first();
  const stop = { at: parts.clock.now(), cause, caller: caller.id };
  const of = { kind: 'instance', id: instance.id } as const;
  if (instance.status === 'stopped') {
    // That its key was stolen may come to light when it has long been stopped for another cause.
    const batch = newBatch();
    beginDescendants(batch, of, stop);
    if (batch.writes.length > 0) committed(await parts.commit(batch));
    await finishDescendants(of, parts);
    await whenAnchored(parts.commit);
    return instance;
  }

  const also = (batch: Batch): void => {
    beginDescendants(batch, of, stop);
    options.idempotency?.keep(batch, { kind: 'reference', reference: instance.id });
  };
  await stopInSteps(stoppingInstance(instance, stop, parts, also), parts);
  await finishDescendants(of, parts);
  return (await readInstance(parts.reader, instance.id)) ?? instance;
}
