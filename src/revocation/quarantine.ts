import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import { newId } from '../base/id.ts';
import type { Cause } from '../ca/revocation-cause.ts';
import { type Batch, newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import { whenAnchored } from '../db/when-anchored.ts';
import { insertHold, readHold } from '../registry/hold.ts';
import { holdCertificates } from './hold-certificates.ts';
import type { CordParts, StopOptions } from './parts.ts';
import { quarantinedEvent } from './stop-event.ts';
import { type StopRequest, understandStop } from './stop-request.ts';
import {
  insertStop,
  readRevocationOf,
  readStop,
  requireFewerStops,
  requireNotRevoked,
  type StopRecord,
} from './stop-store.ts';
import type { FoundTarget, StopTarget } from './stop-target.ts';

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
  if (found.ended && !found.hold.descend) {
    throw new WritError('revoked', 'It is stopped for ever already.', { remedy: 'There is nothing left to hold.' });
  }
  const stop = await putHold(caller, found, { cause, evidence, rules, state: 'quarantined' }, parts, options);
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
  readonly state: 'quarantined' | 'revoking';
  /** Who asked for a revocation that another has to confirm. */
  readonly revocationBy?: string;
}

const TRIES = 8;

/**
 * The commit by which a stop takes effect on all that it covers, however much that is: one row. Of two at once one is
 * recorded, and both get that.
 */
export async function putHold(
  caller: Caller,
  { hold, subjects }: FoundTarget,
  { cause, evidence, rules, state, revocationBy }: NewStop,
  parts: CordParts,
  { idempotency }: StopOptions,
): Promise<StopRecord> {
  const { reader, clock, random, commit } = parts;
  for (let tries = 0; tries < TRIES; tries++) {
    const batch = newBatch();
    batch.anchored = true;
    const existing = await readHold(reader, hold);
    const before = existing === undefined ? await endedBefore(hold, reader) : await readStop(reader, existing.stop);
    const at = clock.now();
    const stop: StopRecord = before ?? {
      ...hold,
      id: newId(at, random),
      state,
      unmarked: true,
      cause,
      stoppedBy: caller.id,
      authority: rules,
      ...(evidence === undefined ? {} : { evidence }),
      stoppedAt: at,
      ...(revocationBy === undefined ? {} : { revocationBy }),
    };
    if (before === undefined) {
      requireRate(batch, caller, at);
      if (isOne(hold)) requireNotRevoked(batch, hold);
      insertStop(batch, stop);
      insertHold(batch, { ...hold, stop: stop.id });
      batch.events.push(quarantinedEvent(stop, subjects));
    }
    idempotency?.keep(batch, { kind: 'reference', reference: stop.id });
    const outcome = await commit(batch);
    if (outcome.committed) return stop;
    if (outcome.refusal === 'rate_limited') {
      throw new WritError('rate_limited', outcome.reason, {
        remedy: 'Stop all of it at once, by team, label or parent; or have somebody else do it.',
      });
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

/** Stops that one caller makes in a minute. Who wants more stops more at once: by team, label or parent. */
export const STOPS_A_MINUTE = 60;

/** The commit counts, so that no more come through at once than one after another. */
function requireRate(batch: Batch, { kind, id }: Caller, now: number): void {
  // The administrator on the server's machine has the passphrase: no limit keeps them from anything.
  if (kind === 'system' && id !== SIGNAL) return;
  const since = newId(now - 60_000, (size) => new Uint8Array(size));
  requireFewerStops(batch, { by: id, since, most: STOPS_A_MINUTE });
}

/** Id of the caller that automated signals come as: they quarantine, and do nothing else. */
export const SIGNAL = 'system:signal';
