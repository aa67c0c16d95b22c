import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { decodeCursor, encodeCursor, type Page, type PageRequest, pageLimit } from '../db/cursor.ts';
import type { Reader } from '../db/database.ts';
import type { Canary } from '../wire/canary.ts';
import { type CanaryRow, canaryAnswer, canaryStatus, MOST_POINTS, readCanaries } from './canary-store.ts';
import type { CanaryParts } from './record-canary.ts';

/** How the points fare now, by agent and name. Throws `denied` and `bad_cursor`. */
export async function showCanaries(
  caller: Caller,
  { status }: { readonly status?: Canary['status'] },
  request: PageRequest,
  { reader, authorize, clock }: Pick<CanaryParts, 'reader' | 'authorize' | 'clock'>,
): Promise<Page<Canary>> {
  demand(authorize, { caller, action: 'canary.read', resource: { type: 'Installation', id: 'writ' } });
  const limit = pageLimit(request);
  const filters = { status };
  const [agent, point] =
    request.cursor === undefined ? ['', ''] : decodeCursor(request.cursor, 'canaries', filters, ['string', 'string']);
  const rows = await readCanaries(reader, { agent: agent as string, point: point as string }, limit + 1);
  const now = clock.now();
  const page = rows.slice(0, limit);
  const items = page
    .map((row) => canaryAnswer(row, now))
    .filter((one) => status === undefined || one.status === status);
  const last = page.at(-1);
  const more = rows.length > limit && last !== undefined;
  return more ? { items, next: encodeCursor('canaries', filters, [last.agent, last.report.point]) } : { items };
}

/** All points, for who watches this installation from within: a bounded number. */
export async function allCanaries(
  reader: Reader,
  now: number,
): Promise<{ row: CanaryRow; status: Canary['status'] }[]> {
  const rows = await readCanaries(reader, { agent: '', point: '' }, MOST_POINTS);
  return rows.map((row) => ({ row, status: canaryStatus(row, now) }));
}
