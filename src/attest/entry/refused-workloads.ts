import type { Caller } from '../../base/access.ts';
import { WritError } from '../../base/error.ts';
import { newBatch } from '../../db/batch.ts';
import { committed } from '../../db/committed.ts';
import type { Idempotency } from '../../http/idempotency.ts';
import { createRateLimit, type RateLimit } from '../../http/rate-limit.ts';
import type { WorkloadRefusal } from '../../wire/workload-refusal.ts';
import type { EntryParts } from './manage.ts';
import { requireNode } from './own.ts';

/** Entries of the ledger that one node may cause: more than one that keeps to its own bounds ever does. */
const ENTRIES = { perSecond: 2, burst: 128, callers: 65_536 };

export function refusalLimit(): RateLimit {
  return createRateLimit(ENTRIES);
}

/**
 * Puts on record whom a node refused by itself. It is believed of its own callers alone: whatever it says is said of this
 * instance and its service, and nothing follows from it. Gives the number of entries. Throws `denied` and `rate_limited`.
 */
export async function recordRefusedWorkloads(
  caller: Caller,
  refusals: readonly WorkloadRefusal[],
  parts: Pick<EntryParts, 'authorize' | 'registered' | 'commit' | 'clock'> & { readonly limit: RateLimit },
  { idempotency }: { readonly idempotency?: Idempotency | undefined } = {},
): Promise<number> {
  const { node, instance } = await requireNode(caller, parts);
  if ((await idempotency?.first()) !== undefined) return refusals.length;
  const started = performance.now();
  const wait = parts.limit.take(instance, started);
  if (wait > 0) throw tooMany(wait);
  parts.limit.charge(instance, started, refusals.length - 1);

  const now = parts.clock.now();
  const batch = newBatch();
  for (const { since, refusal } of inOrder(refusals, now)) {
    batch.events.push({
      type: 'workload.refused',
      subjects: [`agent:${node}`, `instance:${instance}`],
      body: { caller: caller.id, ...refusal, since: new Date(since).toISOString() },
    });
  }
  idempotency?.keep(batch, { kind: 'value', value: refusals.length });
  committed(await parts.commit(batch));
  return refusals.length;
}

/** The earliest first. The clock of a node is believed of the past alone, and of none before there were such clocks. */
function inOrder(
  refusals: readonly WorkloadRefusal[],
  now: number,
): readonly { readonly since: number; readonly refusal: WorkloadRefusal }[] {
  return refusals
    .map((refusal) => ({ since: Math.max(0, Math.min(Date.parse(refusal.since), now)), refusal }))
    .sort((a, b) => a.since - b.since);
}

function tooMany(retryAfter: number): WritError {
  return new WritError('rate_limited', 'The node reports more refusals than are put on record.', {
    remedy: 'Report many of one kind as one number.',
    retryAfter,
  });
}
