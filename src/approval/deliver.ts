import type { Clock } from '../base/clock.ts';
import { type CommitBatch, newBatch } from '../db/batch.ts';
import { decodeCursor, encodeCursor, type Page, type PageRequest, pageLimit } from '../db/cursor.ts';
import type { Reader, Row, SqlValue } from '../db/database.ts';
import type { Webhook } from './webhook.ts';

export type DeliveryState = 'waiting' | 'delivered' | 'dead';

/** One message to one URL. */
export interface Delivery {
  readonly id: string;
  readonly approval: string;
  readonly url: string;
  readonly body: string;
  readonly state: DeliveryState;
  readonly attempts: number;
  /** Milliseconds. */
  readonly nextAt: number;
  readonly lastError: string;
  readonly createdAt: number;
}

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
  const rows = await reader.all(
    `SELECT ${COLUMNS} FROM webhook_delivery WHERE state = 'waiting' AND next_at <= ? ORDER BY next_at, id LIMIT ${AT_ONCE}`,
    [clock.now()],
  );
  const byUrl = Map.groupBy(rows.map(deliveryOf), ({ url }) => url);
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
  const { id, url, body, nextAt } = delivery;
  const attempts = delivery.attempts + 1;
  const claimed = clock.now() + LEASE_MS;
  const claim = newBatch();
  claim.checks.push({
    sql: "SELECT 1 FROM webhook_delivery WHERE id = ? AND state = 'waiting' AND next_at = ?",
    params: [id, nextAt],
    want: 'present',
    refusal: 'conflict',
    reason: 'Another process sends it.',
  });
  claim.writes.push({
    sql: 'UPDATE webhook_delivery SET next_at = ?, attempts = ? WHERE id = ?',
    params: [claimed, attempts, id],
  });
  if (!(await commit(claim)).committed) return false;
  const webhook = webhooks.find((one) => one.url === url);
  const fault = webhook === undefined ? 'not configured any more' : await send(webhook, { id, at: clock.now(), body });
  const pause = PAUSES[attempts - 1];
  const dead = fault !== undefined && (webhook === undefined || pause === undefined);
  const state: DeliveryState = fault === undefined ? 'delivered' : dead ? 'dead' : 'waiting';
  const next = state === 'waiting' ? clock.now() + pause! * 1000 : clock.now();
  const outcome = newBatch();
  outcome.writes.push({
    sql: 'UPDATE webhook_delivery SET state = ?, next_at = ?, last_error = ? WHERE id = ? AND next_at = ?',
    params: [state, next, fault ?? '', id, claimed],
  });
  await commit(outcome);
  return true;
}

/** Forgets what was delivered a week ago and what died three months ago, some at a time. */
export async function forgetDeliveries({ commit, clock }: Pick<DeliverParts, 'commit' | 'clock'>): Promise<void> {
  const batch = newBatch();
  for (const [state, kept] of Object.entries(KEPT_MS)) {
    batch.writes.push({
      sql:
        'DELETE FROM webhook_delivery WHERE id IN ' +
        '(SELECT id FROM webhook_delivery WHERE state = ? AND next_at < ? ORDER BY next_at LIMIT 500)',
      params: [state, clock.now() - kept],
    });
  }
  await commit(batch);
}

const COLUMNS = 'id, approval, url, body, state, attempts, next_at, last_error, created_at';

/** The newest first. */
export async function listDeliveries(
  reader: Reader,
  { state }: { readonly state?: DeliveryState | undefined },
  request: PageRequest,
): Promise<Page<Delivery>> {
  const limit = pageLimit(request);
  const filters = { state };
  const before =
    request.cursor === undefined ? '~' : (decodeCursor(request.cursor, 'deliveries', filters, ['string'])[0] as string);
  const params: SqlValue[] = [before, ...(state === undefined ? [] : [state])];
  const where = state === undefined ? '' : ' AND state = ?';
  const rows = await reader.all(
    `SELECT ${COLUMNS} FROM webhook_delivery WHERE id < ?${where} ORDER BY id DESC LIMIT ${limit + 1}`,
    params,
  );
  const items = rows.slice(0, limit).map(deliveryOf);
  return { items, ...(rows.length > limit ? { next: encodeCursor('deliveries', filters, [items.at(-1)!.id]) } : {}) };
}

function deliveryOf(row: Row): Delivery {
  return {
    id: row['id'] as string,
    approval: row['approval'] as string,
    url: row['url'] as string,
    body: row['body'] as string,
    state: row['state'] as DeliveryState,
    attempts: row['attempts'] as number,
    nextAt: row['next_at'] as number,
    lastError: row['last_error'] as string,
    createdAt: row['created_at'] as number,
  };
}
