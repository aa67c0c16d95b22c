import type { AccessRequest, Caller } from '../base/access.ts';
import { demand, refusal } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import type { Cause } from '../ca/revocation-cause.ts';
import { readSerial } from '../ca/serial.ts';
import { newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import { whenAnchored } from '../db/when-anchored.ts';
import { coveredInstances, heldAmong } from '../registry/covered.ts';
import { carryOut } from './carry-out.ts';
import { holdCertificates, releaseCertificates } from './hold-certificates.ts';
import type { CordParts, MarkingParts, StopOptions } from './parts.ts';
import { demandQuarantine, firstStop, putHold } from './quarantine.ts';
import { changedEvent } from './stop-event.ts';
import { type StopRequest, understandStop } from './stop-request.ts';
import {
  askForRevocation,
  beginRevocation,
  readHeldSince,
  readRevocationOf,
  readStop,
  type StopRecord,
} from './stop-store.ts';
import type { FoundTarget, StopTarget } from './stop-target.ts';

/**
 * Stops for ever. The first commit holds all that is covered, from where on nothing of it has any force; the rest follows
 * in bounded commits before this resolves. Beyond `massStop` instances it stays a quarantine until another person confirms
 * it (`confirmStop`); an authority is quarantined at once and revoked by approval alone. What is stopped already is
 * answered with that stop, and what is quarantined is made a revocation.
 *
 * Throws as `quarantine` does, and `needs_approval` for an authority, which is held by then.
 */
export async function stopForEver(
  caller: Caller,
  request: StopRequest,
  parts: CordParts,
  options: StopOptions = {},
): Promise<StopRecord> {
  const { cause, evidence, found } = await understandStop(caller, request, parts);
  const { target } = request;
  const mass = await isMass(caller, found, parts);
  const { rules } =
    target.kind === 'authority'
      ? demandQuarantine(caller, target, found, cause, parts)
      : demandRevocation(caller, target, found, cause, parts);
  const { kind } = target;
  // Held at once all the same, and refused afterwards.
  const refused = kind === 'authority' ? withoutApproval(caller, found, parts) : undefined;
  const first = await firstStop(parts, options);
  // One that was cut off between its two commits has only held so far.
  const heldOnly = first?.state === 'quarantined' && first.revocationBy === undefined;
  if (first !== undefined && refused === undefined && !heldOnly) return goOn(first, parts);
  const before = found.ended ? await readRevocationOf(parts.reader, found.hold) : undefined;
  if (before !== undefined) return goOn(before, parts);
  if (found.ended && !found.hold.descend) {
    throw new WritError('revoked', 'It is stopped for ever already.', { remedy: 'There is nothing left to stop.' });
  }

  const waits = mass || refused !== undefined;
  const stop =
    first ??
    (await putHold(
      caller,
      found,
      {
        cause,
        evidence,
        rules,
        state: waits ? 'quarantined' : 'revoking',
        ...(waits ? { revocationBy: caller.id } : {}),
      },
      parts,
      options,
    ));
  if (refused !== undefined) {
    await goOn(stop, parts);
    throw refused;
  }
  if (stop.state !== 'quarantined') return goOn(stop, parts);
  if (!waits) return goOn(await makeForEver(stop, caller, cause, parts), parts);
  if (stop.revocationBy === undefined) {
    const batch = newBatch();
    askForRevocation(batch, stop, caller.id, cause);
    batch.events.push(changedEvent('stop.revocation_asked', stop, caller.id, { cause }));
    batch.anchored = true;
    committed(await parts.commit(batch));
  }
  return goOn((await readStop(parts.reader, stop.id)) ?? stop, parts);
}

/** Why an authority is not revoked by this request; undefined when it is. */
function withoutApproval(caller: Caller, { resource }: FoundTarget, { authorize }: CordParts): WritError | undefined {
  const request = { caller, action: 'authority.revoke', resource } as const;
  const verdict = authorize(request);
  return verdict.allowed ? undefined : refusal(request, verdict);
}

/** Completes what of a stop is not complete. */
export async function goOn(stop: StopRecord, parts: MarkingParts): Promise<StopRecord> {
  await whenAnchored(parts.commit);
  if (!stop.unmarked) return stop;
  if (stop.state === 'revoking') return carryOut(stop, parts);
  if (stop.state === 'quarantined') await holdCertificates(stop, parts);
  if (stop.state === 'released') await releaseCertificates(stop, parts);
  return (await readStop(parts.reader, stop.id)) ?? stop;
}

/** Makes a revocation of a quarantine. */
export async function makeForEver(
  stop: StopRecord,
  caller: Caller,
  cause: Cause,
  { reader, commit, clock }: CordParts,
): Promise<StopRecord> {
  const at = clock.now();
  const batch = newBatch();
  beginRevocation(batch, stop, { by: caller.id, at, cause });
  batch.events.push(changedEvent('stop.confirmed', stop, caller.id, { cause, at: new Date(at).toISOString() }));
  batch.bumpsEpoch = true;
  batch.anchored = true;
  const outcome = await commit(batch);
  const after = (await readStop(reader, stop.id)) ?? stop;
  if (!outcome.committed && after.state === 'quarantined') committed(outcome);
  return after;
}

/**
 * Whether this is more than one person stops for ever alone: so many instances with a certificate that has not expired, or
 * had not when a quarantine began, since what is held cannot renew and nobody comes to be alone by waiting. The
 * administrator on the server's machine does.
 */
export async function isMass(
  { kind }: Pick<Caller, 'kind'>,
  { hold }: FoundTarget,
  { reader, clock, massStop }: CordParts,
): Promise<boolean> {
  if (kind === 'system') return false;
  const now = clock.now();
  const since = await readHeldSince(reader);
  let count = 0;
  for await (const page of coveredInstances(reader, hold)) {
    const ids = since === undefined ? [] : page.map(({ id }) => id);
    const held = await heldAmong(reader, ids);
    for (const { id, stopped, latestSerial } of page) {
      const expiresAt = readSerial(latestSerial)?.expiresAt ?? 0;
      if (!stopped && expiresAt > (held.has(id) ? since! : now)) count++;
    }
    if (count > massStop) return true;
  }
  return false;
}

/**
 * For the ways to stop one thing that know no second person: where it is more than one person stops for ever alone, all of
 * it is quarantined, and this throws `needs_approval`, which says what another person does.
 */
export async function holdMass(
  caller: Caller,
  request: StopRequest,
  parts: CordParts,
  kind?: 'agent' | 'service',
): Promise<void> {
  const { found } = await understandStop(caller, request, parts);
  const another = kind !== undefined && found.resource.type.toLowerCase() !== kind;
  if (found.ended || another || !(await isMass(caller, found, parts))) return;
  const stop = await stopForEver(caller, request, parts);
  if (stop.state !== 'quarantined') return;
  throw new WritError(
    'needs_approval',
    `That is more than ${parts.massStop} instances: they are quarantined, and another person has to confirm the rest.`,
    { remedy: `As another person: writ stop confirm ${stop.id}` },
  );
}

export function demandRevocation(
  caller: Caller,
  { kind }: StopTarget,
  { resource, facts }: FoundTarget,
  cause: Cause,
  { authorize }: CordParts,
): { readonly rules: readonly string[] } {
  const request = ((): AccessRequest => {
    switch (kind) {
      case 'certificate':
        return { caller, action: 'certificate.revoke', resource, context: { reason: cause, ...facts } };
      case 'instance':
      case 'parent':
        return { caller, action: 'instance.stop', resource, context: facts };
      case 'agent':
        return { caller, action: 'agent.retire', resource, context: facts };
      default:
        return { caller, action: 'stop.revoke', resource, context: { kind, cause } };
    }
  })();
  return demand(authorize, request);
}
