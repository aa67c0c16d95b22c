import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { type Cause, parseCause } from '../ca/revocation-cause.ts';
import { whenAnchored } from '../db/when-anchored.ts';
import { type Instance, readInstance } from '../registry/instance.ts';
import { readStanding } from '../registry/standing.ts';
import { countStop } from '../registry/stop-rate.ts';
import { absent, askedOfInstance } from './asked.ts';
import { withEvidence } from './evidence.ts';
import { MASS_STOP } from './mass.ts';
import type { CordParts, StopOptions, Why } from './parts.ts';
import { stopInSteps } from './steps.ts';
import { endAll, requireEnded } from './stop.ts';
import { stoppingInstance } from './stopping-instance.ts';

/**
 * Stops an instance for ever, with all that it let in, directly or through others: their ids are burnt, their certificates
 * revoked, the keys blocked. Gives the instance as it stands then; one that is stopped already, with all below it, is
 * answered as it is. Nearly every instance has let in nobody, and ends in one commit of its own; others by the cord.
 *
 * Throws `bad_request` for a cause that is not on the list and evidence that is no link, `not_found`, `denied`,
 * `rate_limited`, and `needs_approval` where all of it is quarantined until others agree.
 */
export async function stopInstance(
  caller: Caller,
  { instance: id, ...why }: { readonly instance: string } & Why,
  given: CordParts,
  options: StopOptions = {},
): Promise<Instance> {
  const cause = parseCause(why);
  const parts = withEvidence(given, why.evidence);
  await parts.refresh();
  const standing = await readStanding(parts.reader, id);
  if (standing === undefined) throw absent(caller, 'instance', '/instance', parts);
  const { agent, instance } = standing;
  const { resource, facts } = await askedOfInstance(caller, agent, instance.id, parts);
  demand(parts.authorize, { caller, action: 'instance.stop', resource, context: facts });
  if (await isAlone(instance, parts)) {
    await options.idempotency?.first();
    if (instance.status === 'stopped') {
      await whenAnchored(parts.commit);
      return instance;
    }
    if (await stopAlone(caller, instance, cause, parts, options)) {
      return (await readInstance(parts.reader, instance.id)) ?? instance;
    }
  }
  const stop = await endAll(caller, { target: { kind: 'instance', name: instance.id }, ...why }, given, options);
  if (stop !== undefined) requireEnded(stop);
  return (await readInstance(parts.reader, instance.id)) ?? instance;
}

/** Nobody to let fall with it, and no quarantine of its own to end. */
async function isAlone({ id }: Instance, { reader, massStop = MASS_STOP }: CordParts): Promise<boolean> {
  return massStop > 0 && (await reader.get(BELOW, [id, id])) === undefined;
}

const BELOW =
  'SELECT 1 AS found FROM instance WHERE parent = ? ' +
  "UNION ALL SELECT 1 AS found FROM hold WHERE kind = 'instance' AND target = ? LIMIT 1";

/** False where it let somebody in meanwhile. */
async function stopAlone(
  caller: Caller,
  instance: Instance,
  cause: Cause,
  parts: CordParts,
  { idempotency }: StopOptions,
): Promise<boolean> {
  const { id } = instance;
  const at = parts.clock.now();
  const stopping = stoppingInstance(instance, { at, cause, caller: caller.id }, parts, (batch) => {
    countStop(batch, caller, at, parts.stopsAMinute);
    batch.checks.push({
      sql: 'SELECT 1 FROM instance WHERE parent = ?',
      params: [id],
      want: 'absent',
      refusal: 'conflict',
      reason: 'The instance let another in meanwhile.',
    });
    idempotency?.keep(batch, { kind: 'reference', reference: id });
  });
  let alone = true;
  const begin = async (): ReturnType<typeof stopping.begin> => {
    alone = await isAlone(instance, parts);
    return alone ? stopping.begin() : undefined;
  };
  await stopInSteps({ ...stopping, begin }, parts);
  return alone;
}
