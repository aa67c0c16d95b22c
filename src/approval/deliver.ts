import type { Clock } from '../base/clock.ts';
import { type CommitBatch, newBatch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import {
  type Delivery,
  type DeliveryState,
  dueDeliveries,
  pushAttempted,
  pushClaim,
  pushForgotten,
} from './delivery-store.ts';
import type { Webhook } from './webhook.ts';

/** Seconds to wait after each failure; after the last the message is dead. In all some thirty hours. */
export const PAUSES: readonly number[] = [1, 5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 28_800, 43_200];

/** For so long nobody else tries what one process has begun. */
const LEASE_MS = 30_000;
const AT_ONCE = 32;
const DAY_MS = 86_400_000;
/** What is kept to be looked at. */
const KEPT_MS: Readonly<Record<'delivered' | 'dead', number>> = { delivered: 7 * DAY_MS, dead: 90 * DAY_MS };

export interface DeliverParts {
  readonly reader: Reader;
  readonly commit: CommitBatch;
  readonly clock: Clock;
  readonly webhooks: readonly Webhook[];
  /** As `sendWebhook`. */
  readonly send: (webhook: Webhook, message: { id: string; at: number; body: string }) => Promise<string | undefined>;
}

/**
 * Sends what is due: URLs side by side, the messages of one in their order, so that one that hangs holds up nobody else.
 * Any number of processes may: each claims a message before it sends it. A message may come twice, after a crash; its id
 * tells. Gives the number of attempts.
 */
export async function deliverDue(parts: DeliverParts): Promise<number> {
  const { reader, clock } = parts;
  const due = await dueDeliveries(reader, clock.now(), AT_ONCE);
  const byUrl = Map.groupBy(due, ({ url }) => url);
  const counts = await Promise.all(
    [...byUrl.values()].map(async (deliveries) => {
      let count = 0;
      for (const one of deliveries) if (await attempt(one, parts)) count++;
      return count;
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

async function attempt(delivery: Delivery, { commit, clock, webhooks, send }: DeliverParts): Promise<boolean> {
  const { id, url, body } = delivery;
  const claimedUntil = clock.now() + LEASE_MS;
  const claim = newBatch();
  pushClaim(claim, delivery, claimedUntil);
  if (!(await commit(claim)).committed) return false;
  const webhook = webhooks.find((one) => one.url === url);
  const fault = webhook === undefined ? 'not configured any more' : await send(webhook, { id, at: clock.now(), body });
  const pause = PAUSES[delivery.attempts];
  const dead = fault !== undefined && (webhook === undefined || pause === undefined);
  const state: DeliveryState = fault === undefined ? 'delivered' : dead ? 'dead' : 'waiting';
  const nextAt = state === 'waiting' ? clock.now() + pause! * 1000 : clock.now();
  const outcome = newBatch();
  pushAttempted(outcome, delivery, { state, nextAt, lastError: fault ?? '', claimedUntil });
  await commit(outcome);
  return true;
}

/** Forgets what was delivered a week ago and what died three months ago, some at a time. */
export async function forgetDeliveries({ commit, clock }: Pick<DeliverParts, 'commit' | 'clock'>): Promise<void> {
  const batch = newBatch();
  for (const state of ['delivered', 'dead'] as const) pushForgotten(batch, state, clock.now() - KEPT_MS[state]);
  await commit(batch);
}
