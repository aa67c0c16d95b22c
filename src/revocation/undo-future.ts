import { withdrawTokensMadeAfter } from '../attest/token-store.ts';
import type { Caller } from '../base/access.ts';
import { listCertificates } from '../ca/certificate-pages.ts';
import { type Batch, newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import type { MarkingParts } from './parts.ts';
import { pushRevocation } from './revoke.ts';
import { STEP } from './steps.ts';

/**
 * The record that the clock had been ahead: from here on the log's times are smaller again, at first. Join tokens that
 * were made meanwhile would be good for as much too long, so they are withdrawn with it.
 */
export function clockSetBack(caller: Caller, { from, to }: { readonly from: number; readonly to: number }): Batch {
  const batch = newBatch();
  withdrawTokensMadeAfter(batch, to);
  batch.events.push({
    type: 'log.clock_set_back',
    subjects: [],
    body: {
      caller: caller.id,
      from: new Date(from).toISOString(),
      to: new Date(to).toISOString(),
      tokens: 'those made after are withdrawn',
    },
  });
  batch.bumpsEpoch = true;
  batch.anchored = true;
  return batch;
}

/**
 * Revokes what was certified while the clock was ahead, so that nothing of it comes into force when its time has come.
 * Their keys go on. Gives the number. May be repeated.
 */
export async function revokeFutureCertificates(caller: Caller, parts: MarkingParts): Promise<number> {
  const { certificates, clock } = parts;
  for (let count = 0; ; ) {
    const at = clock.now();
    const filter = { state: 'active', since: at + AHEAD } as const;
    let page = await listCertificates(certificates, filter, at, STEP);
    while (page.rows.length === 0 && page.next !== undefined) {
      page = await listCertificates(certificates, filter, at, STEP, page.next);
    }
    if (page.rows.length === 0) return count;
    const batch = newBatch();
    const stop = { at, cause: 'superseded_by_renewal', caller: caller.id } as const;
    for (const row of page.rows) await pushRevocation(batch, row, stop, parts);
    committed(await parts.commit(batch));
    count += page.rows.length;
  }
}

/** Milliseconds by which the clocks of replicas may differ. */
const AHEAD = 10_000;
