import type { Batch } from '../db/batch.ts';
import { decodeCursor, encodeCursor, type Page, type PageRequest, pageLimit } from '../db/cursor.ts';
import type { Reader, Row, SqlValue } from '../db/database.ts';

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

const COLUMNS = 'id, approval, url, body, state, attempts, next_at, last_error, created_at';

/** What is due, the longest first. */
export async function dueDeliveries(reader: Reader, now: number, limit: number): Promise<Delivery[]> {
  const rows = await reader.all(
    `SELECT ${COLUMNS} FROM webhook_delivery WHERE state = 'waiting' AND next_at <= ? ORDER BY next_at, id LIMIT ?`,
    [now, limit],
  );
  return rows.map(deliveryOf);
}

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

/** Pushes that this process tries it now, and until when nobody else does. Refused where another was quicker. */
export function pushClaim(batch: Batch, { id, nextAt, attempts }: Delivery, until: number): void {
  batch.checks.push({
    sql: "SELECT 1 FROM webhook_delivery WHERE id = ? AND state = 'waiting' AND next_at = ?",
    params: [id, nextAt],
    want: 'present',
    refusal: 'conflict',
    reason: 'Another process sends it.',
  });
  batch.writes.push({
    sql: 'UPDATE webhook_delivery SET next_at = ?, attempts = ? WHERE id = ?',
    params: [until, attempts + 1, id],
  });
}

/** Pushes what became of an attempt, unless another process has taken it over since. */
export function pushAttempted(
  batch: Batch,
  { id }: Delivery,
  { claimedUntil, ...now }: Pick<Delivery, 'state' | 'nextAt' | 'lastError'> & { readonly claimedUntil: number },
): void {
  batch.writes.push({
    sql: 'UPDATE webhook_delivery SET state = ?, next_at = ?, last_error = ? WHERE id = ? AND next_at = ?',
    params: [now.state, now.nextAt, now.lastError, id, claimedUntil],
  });
}

/** Pushes that some of what ended in this state before that time goes. */
export function pushForgotten(batch: Batch, state: DeliveryState, before: number): void {
  batch.writes.push({
    sql:
      'DELETE FROM webhook_delivery WHERE id IN ' +
      '(SELECT id FROM webhook_delivery WHERE state = ? AND next_at < ? ORDER BY next_at LIMIT 500)',
    params: [state, before],
  });
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
