import type { AccessRequest, Caller } from '../base/access.ts';
import { demand, refusal } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import type { Cause } from '../ca/revocation-cause.ts';
import { newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import { whenAnchored } from '../db/when-anchored.ts';
import { countStop, tooManyStops } from '../registry/stop-rate.ts';
import { carryOut } from './carry-out.ts';
import { holdCertificates, releaseCertificates } from './hold-certificates.ts';
import { type Mass, massOf, requireAlone } from './mass.ts';
import type { CordParts, MarkingParts, StopOptions } from './parts.ts';
import { demandQuarantine, firstStop, putHold } from './quarantine.ts';
import { changedEvent } from './stop-event.ts';
import { askForRevocation, beginRevocation, readRevocationOf, readStop, type StopRecord } from './stop-store.ts';
import { type FoundTarget, isOver, type StopRequest, type StopTarget, understandStop } from './stop-target.ts';

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
  const stop = await endAll(caller, request, parts, options);
  if (stop !== undefined) return stop;
  throw new WritError('revoked', 'It is stopped for ever already.', { remedy: 'There is nothing left to stop.' });
}

/** The same; undefined where there is nothing left to stop, and no record of the cord says how that came. */
export async function endAll(
  caller: Caller,
  request: StopRequest,
  parts: CordParts,
  options: StopOptions = {},
): Promise<StopRecord | undefined> {
  const { cause, evidence, found } = await understandStop(caller, request, parts);
  const { target } = request;
  const mass = await massOf(caller, found, parts);
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
  if (await isOver(found, parts)) {
    await whenAnchored(parts.commit);
    return undefined;
  }

  const ending = { ...mass, waits: mass.waits || refused !== undefined };
  const stop = first ?? (await putHold(caller, found, { cause, evidence, rules, ending }, parts, options));
  if (refused !== undefined) {
    await goOn(stop, parts);
    throw refused;
  }
  if (stop.state !== 'quarantined') return goOn(stop, parts);
  if (!ending.waits) {
    const forEver = await makeForEver(stop, caller, { cause, alone: ending }, parts);
    if (forEver !== undefined) return goOn(forEver, parts);
  }
  return goOn(stop.revocationBy === undefined ? await askFor(stop, caller, cause, parts) : stop, parts);
}

/** Records that somebody asks that a quarantine be for ever, so that another confirms it. */
export async function askFor(
  stop: StopRecord,
  caller: Caller,
  cause: Cause,
  { reader, commit }: CordParts,
): Promise<StopRecord> {
  const batch = newBatch();
  askForRevocation(batch, stop, caller.id, cause);
  batch.events.push(changedEvent('stop.revocation_asked', stop, caller.id, { cause }));
  batch.anchored = true;
  committed(await commit(batch));
  return (await readStop(reader, stop.id)) ?? stop;
}

/** Why an authority is not revoked by this request; undefined when it is. */
function withoutApproval(caller: Caller, { resource }: FoundTarget, { authorize }: CordParts): WritError | undefined {
  const request = { caller, action: 'authority.revoke', resource } as const;
  const verdict = authorize(request);
  return verdict.allowed ? undefined : refusal(request, verdict);
}

/**
 * What ways of stopping answer with that know no second person: throws `needs_approval`, which says what another person
 * does, where all is quarantined until then.
 */
export function requireEnded({ id, state }: StopRecord): void {
  if (state !== 'quarantined') return;
  throw new WritError(
    'needs_approval',
    'It is quarantined, with all that it let in: that is more than one person stops.',
    {
      remedy: `As another person: writ stop confirm ${id}`,
    },
  );
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

/**
 * Makes a revocation of a quarantine. `alone`: on the word of this caller and nobody else's; undefined where the commit
 * adds up to more than one person does.
 */
export async function makeForEver(
  stop: StopRecord,
  caller: Caller,
  { cause, alone }: { readonly cause: Cause; readonly alone?: Mass },
  parts: CordParts,
): Promise<StopRecord | undefined> {
  const { reader, commit, clock } = parts;
  const at = clock.now();
  const batch = newBatch();
  beginRevocation(batch, stop, { by: caller.id, at, cause, fallen: alone?.instances ?? 0 });
  if (alone !== undefined) {
    requireAlone(batch, alone, parts);
    countStop(batch, caller, at, parts.stopsAMinute);
  }
  batch.events.push(changedEvent('stop.confirmed', stop, caller.id, { cause, at: new Date(at).toISOString() }));
  batch.bumpsEpoch = true;
  batch.anchored = true;
  const outcome = await commit(batch);
  const after = (await readStop(reader, stop.id)) ?? stop;
  if (!outcome.committed && after.state === 'quarantined') {
    if (outcome.refusal === 'needs_approval') return undefined;
    if (outcome.refusal === 'rate_limited') throw tooManyStops(outcome.reason);
    committed(outcome);
  }
  return after;
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
