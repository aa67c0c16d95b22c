import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import { newId } from '../base/id.ts';
import type { Cause } from '../ca/revocation-cause.ts';
import { newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import { whenAnchored } from '../db/when-anchored.ts';
import { insertHold, readHold } from '../registry/hold.ts';
import { countStop, tooManyStops } from '../registry/stop-rate.ts';
import { holdCertificates } from './hold-certificates.ts';
import { type Mass, requireAlone } from './mass.ts';
import type { CordParts, StopOptions } from './parts.ts';
import { quarantinedEvent } from './stop-event.ts';
import { insertStop, readRevocationOf, readStop, requireNotRevoked, type StopRecord } from './stop-store.ts';
import { type FoundTarget, isOver, type StopRequest, type StopTarget, understandStop } from './stop-target.ts';

/**
 * Quarantines, which can be lifted again: from the first commit on nothing is issued for what is covered, nothing that it
 * asks for is done, and its join tokens let nobody in; then its certificates are put on the revocation lists as held. What
 * is quarantined already is answered with that stop.
 *
 * Throws `bad_request`, `not_found`, `denied`, `rate_limited`, and `revoked` for what is stopped for ever.
 */
export async function quarantine(
  caller: Caller,
  request: StopRequest,
  parts: CordParts,
  options: StopOptions = {},
): Promise<StopRecord> {
  const { cause, evidence, found } = await understandStop(caller, request, parts);
  const { rules } = demandQuarantine(caller, request.target, found, cause, parts);
  const first = await firstStop(parts, options);
  if (first !== undefined) return first;
  if (await isOver(found, parts)) {
    throw new WritError('revoked', 'It is stopped for ever already.', { remedy: 'There is nothing left to hold.' });
  }
  const stop = await putHold(caller, found, { cause, evidence, rules }, parts, options);
  if (stop.state === 'quarantined' && stop.unmarked) await holdCertificates(stop, parts);
  return (await readStop(parts.reader, stop.id)) ?? stop;
}

/** Asks policy whether this caller may quarantine this. */
export function demandQuarantine(
  caller: Caller,
  { kind }: StopTarget,
  { resource, facts }: FoundTarget,
  cause: Cause,
  { authorize }: CordParts,
): { readonly rules: readonly string[] } {
  return demand(authorize, { caller, action: 'stop.quarantine', resource, context: { kind, cause, ...facts } });
}

/** The stop that this very request made before, under its idempotency key. */
export async function firstStop(parts: CordParts, { idempotency }: StopOptions): Promise<StopRecord | undefined> {
  const first = await idempotency?.first();
  if (first?.kind !== 'reference') return undefined;
  await whenAnchored(parts.commit);
  return readStop(parts.reader, first.reference);
}

interface NewStop extends Pick<StopRecord, 'cause'> {
  readonly rules: readonly string[];
  readonly evidence: string | undefined;
  /** That it be for ever is asked: it is, unless that waits for others, as it does where the commit adds up to too much. */
  readonly ending?: Mass;
}

const TRIES = 8;

/**
 * The commit by which a stop takes effect on all that it covers, however much that is: one row. Of two at once one is
 * recorded, and both get that. What is to be for ever and waits for others is held until they have agreed.
 */
export async function putHold(
  caller: Caller,
  { hold, subjects }: FoundTarget,
  { cause, evidence, rules, ending }: NewStop,
  parts: CordParts,
  { idempotency }: StopOptions,
): Promise<StopRecord> {
  const { reader, clock, random, commit } = parts;
  let waits = ending?.waits === true;
  for (let tries = 0; tries < TRIES; tries++) {
    const batch = newBatch();
    batch.anchored = true;
    const existing = await readHold(reader, hold);
    const before = existing === undefined ? await endedBefore(hold, reader) : await readStop(reader, existing.stop);
    const at = clock.now();
    const stop: StopRecord = before ?? {
      ...hold,
      id: newId(at, random),
      state: ending === undefined || waits ? 'quarantined' : 'revoking',
      unmarked: true,
      cause,
      stoppedBy: caller.id,
      authority: rules,
      ...(evidence === undefined ? {} : { evidence }),
      stoppedAt: at,
      ...(waits ? { revocationBy: caller.id } : {}),
    };
    if (before === undefined) {
      countStop(batch, caller, at, parts.stopsAMinute);
      if (ending !== undefined && !waits) requireAlone(batch, ending, parts);
      if (isOne(hold)) requireNotRevoked(batch, hold);
      insertStop(batch, stop, ending === undefined || waits ? 0 : ending.instances);
      insertHold(batch, { ...hold, stop: stop.id });
      batch.events.push(quarantinedEvent(stop, subjects));
    }
    idempotency?.keep(batch, { kind: 'reference', reference: stop.id });
    const outcome = await commit(batch);
    if (outcome.committed) return stop;
    if (outcome.refusal === 'rate_limited') throw tooManyStops(outcome.reason);
    if (outcome.refusal === 'needs_approval') {
      waits = true;
      continue;
    }
    // An equal request was quicker: the door asks again, and finds its answer.
    if (outcome.refusal !== 'conflict' || (await idempotency?.first()) !== undefined) committed(outcome);
  }
  throw new WritError('conflict', 'What is to be stopped keeps changing.', { remedy: 'Repeat the request.' });
}

/** Whether what is stopped for ever is one thing, and not what comes under a name at the time. */
function isOne({ kind }: FoundTarget['hold']): boolean {
  return kind !== 'owner' && kind !== 'label';
}

/** The stop that somebody was quicker with and that has come to its end. */
async function endedBefore(hold: FoundTarget['hold'], reader: CordParts['reader']): Promise<StopRecord | undefined> {
  return isOne(hold) ? readRevocationOf(reader, hold) : undefined;
}

/** Id of the caller that automated signals come as: they quarantine, and do nothing else. */
export const SIGNAL = 'system:signal';
