import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import { newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import { deleteHold } from '../registry/hold.ts';
import { findStop } from './confirm-stop.ts';
import { releaseCertificates } from './hold-certificates.ts';
import type { CordParts, MarkingParts, StopOptions } from './parts.ts';
import { firstStop } from './quarantine.ts';
import { changedEvent, eventKind } from './stop-event.ts';
import { beginRelease, readStop, type StopRecord } from './stop-store.ts';

const INSTALLATION = { type: 'Installation', id: 'writ' } as const;

/**
 * Lifts a quarantine: what it covered goes on, unless another stop holds it, and its certificates come off the revocation
 * lists. What was released is answered with that. Throws `denied`, `needs_approval`, `not_found`, and `revoked` for what is
 * stopped for ever.
 */
export async function releaseStop(
  caller: Caller,
  id: string,
  parts: CordParts,
  options: StopOptions = {},
): Promise<StopRecord> {
  await parts.refresh();
  const stop = await findStop(caller, id, parts);
  const context = { kind: stop.kind, cause: stop.cause };
  const { rules } = demand(parts.authorize, { caller, action: 'stop.release', resource: INSTALLATION, context });
  const first = await firstStop(parts, options);
  if (first !== undefined) return first;
  if (stop.state === 'revoking' || stop.state === 'revoked') {
    throw new WritError('revoked', 'It is stopped for ever.', {
      remedy: 'Enrol a new instance, or register another agent.',
    });
  }
  if (stop.kind === 'orphan') {
    throw new WritError('inactive', 'The team is gone, and nobody answers for what it owned.', {
      remedy:
        'Hand its agents to another team with "writ agent update", or say that it is back with "writ owner restore".',
    });
  }
  return release(stop, caller, rules, parts, options);
}

/** Lifts a quarantine on the authority of these rules. */
export async function release(
  stop: StopRecord,
  caller: Caller,
  rules: readonly string[],
  parts: MarkingParts,
  { idempotency }: StopOptions = {},
): Promise<StopRecord> {
  if (stop.state === 'quarantined') {
    const at = parts.clock.now();
    const batch = newBatch();
    beginRelease(batch, stop, { by: caller.id, at });
    deleteHold(batch, stop.id);
    idempotency?.keep(batch, { kind: 'reference', reference: stop.id });
    const body = { at: new Date(at).toISOString(), cause: stop.cause, authority: rules };
    batch.events.push(changedEvent(`${eventKind(stop.kind)}.released`, stop, caller.id, body));
    batch.anchored = true;
    committed(await parts.commit(batch));
  }
  const released = (await readStop(parts.reader, stop.id)) ?? stop;
  if (released.unmarked) await releaseCertificates(released, parts);
  return (await readStop(parts.reader, stop.id)) ?? released;
}
