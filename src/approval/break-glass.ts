import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import { newId } from '../base/id.ts';
import { type Batch, newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import { decodeCursor, encodeCursor, type Page, type PageRequest, pageLimit } from '../db/cursor.ts';
import type { Reader } from '../db/database.ts';
import type { Idempotency } from '../http/idempotency.ts';
import {
  type Emergency,
  insertEmergency,
  LONGEST_EMERGENCY,
  listEmergencies,
  pushEnd,
  pushReview,
  readEmergency,
  readEnded,
} from '../registry/emergency.ts';
import { NOBODY, readPersonOf } from '../registry/person.ts';
import { consents } from './approval.ts';
import { requireLine } from './line.ts';
import { pushNotice } from './notice.ts';
import { type ApprovalParts, INSTALLATION } from './parts.ts';
import { readApproval } from './store.ts';

/**
 * Begins emergency access for the operator who asks, on an approval that this very request was granted: two people at
 * least, whatever a rule says, none of them the one who asks. It ends by itself and is never made longer; while it lasts
 * the operator is of the group `break-glass`, and what they do by it names it on the ledger. Another person reviews it.
 *
 * Throws `needs_approval`, `denied`, `bad_request`, and `conflict` while the person has such access already.
 */
export async function beginBreakGlass(
  caller: Caller,
  { purpose, seconds = LONGEST_EMERGENCY }: { readonly purpose: string; readonly seconds?: number | undefined },
  parts: ApprovalParts,
  { idempotency }: { readonly idempotency?: Idempotency | undefined } = {},
): Promise<Emergency> {
  requireLine(purpose, { field: '/purpose', what: 'purpose' });
  const context = { lifetimeSeconds: seconds };
  demand(parts.authorize, { caller, action: 'emergency.begin', resource: INSTALLATION, context });
  const first = await idempotency?.first();
  if (first?.kind === 'reference') return find(parts.reader, first.reference);
  const { operator, bound } = caller;
  const now = parts.clock.now();
  const approval = bound?.approval === undefined ? undefined : await readApproval(parts.reader, bound.approval, now);
  const person = operator === undefined ? undefined : await readPersonOf(parts.reader, operator);
  if (approval === undefined || operator === undefined || person === undefined || person === NOBODY) {
    throw new WritError('denied', 'Emergency access rests on an approval.', { remedy: 'Ask for one.' });
  }
  const emergency: Emergency = {
    id: newId(now, parts.random),
    kind: 'break-glass',
    operator,
    person,
    purpose,
    approval: approval.id,
    people: consents(approval).map((one) => one.person),
    beganAt: now,
    endsAt: now + seconds * 1000,
  };
  const batch = newBatch();
  insertEmergency(batch, emergency);
  idempotency?.keep(batch, { kind: 'reference', reference: emergency.id });
  batch.events.push({
    type: 'emergency.begun',
    subjects: subjectsOf(emergency),
    body: {
      caller: caller.id,
      emergency: emergency.id,
      operator,
      person,
      people: emergency.people,
      ends_at: new Date(emergency.endsAt).toISOString(),
    },
  });
  tell(batch, 'begun', emergency, parts);
  committed(await parts.commit(batch));
  return emergency;
}

/** Ends it before its time: whoever has it does, and whom policy lets. What is over is answered with that. */
export async function endBreakGlass(caller: Caller, id: string, parts: ApprovalParts): Promise<Emergency> {
  const emergency = await find(parts.reader, id);
  const own = caller.operator !== undefined && caller.operator === emergency.operator;
  demand(parts.authorize, { caller, action: 'emergency.end', resource: INSTALLATION, context: { own } });
  const now = parts.clock.now();
  if (emergency.endedAt !== undefined || emergency.endsAt <= now) return emergency;
  return recordEnd(emergency, now, parts, caller.id);
}

/** Records what has ended by itself. Gives how many; beside another that does the same no harm. */
export async function recordEndedBreakGlass(parts: Omit<ApprovalParts, 'authorize'>): Promise<number> {
  const ended = await readEnded(parts.reader, parts.clock.now(), STEP);
  let count = 0;
  for (const emergency of ended) {
    try {
      await recordEnd(emergency, emergency.endsAt, parts);
      count++;
    } catch (error) {
      if (!(error instanceof WritError) || error.code !== 'conflict') throw error;
    }
  }
  return count;
}

const STEP = 50;

async function recordEnd(
  emergency: Emergency,
  at: number,
  parts: Omit<ApprovalParts, 'authorize'>,
  caller?: string,
): Promise<Emergency> {
  const after: Emergency = { ...emergency, endsAt: at, endedAt: at };
  const batch = newBatch();
  pushEnd(batch, emergency.id, at);
  batch.events.push({
    type: 'emergency.ended',
    subjects: subjectsOf(emergency),
    body: {
      ...(caller === undefined ? {} : { caller }),
      emergency: emergency.id,
      ended_at: new Date(at).toISOString(),
    },
  });
  tell(batch, 'ended', after, parts);
  // It may come unasked, and takes something away: a backup that lacks nothing else is no loss (`replay.ts`).
  batch.anchored = true;
  committed(await parts.commit(batch));
  return after;
}

/**
 * Closes the review of what is over: another person than the one it was about says what they found. Throws `denied`,
 * `inactive` while it lasts, `conflict` where somebody did, `not_found`, `bad_request`.
 */
export async function reviewEmergency(
  caller: Caller,
  { id, note }: { readonly id: string; readonly note: string },
  parts: ApprovalParts,
): Promise<Emergency> {
  requireLine(note, { field: '/note', what: 'note' });
  const emergency = await find(parts.reader, id);
  demand(parts.authorize, { caller, action: 'emergency.review', resource: INSTALLATION });
  const person = caller.operator === undefined ? undefined : await readPersonOf(parts.reader, caller.operator);
  const own = person === emergency.person || caller.operator === emergency.operator;
  if (person === undefined || person === NOBODY || own) {
    throw new WritError('denied', 'Another person than the one it was about reviews it.', {
      remedy: 'Have a colleague look at what was done.',
    });
  }
  const now = parts.clock.now();
  if (emergency.endedAt === undefined && emergency.endsAt > now) {
    throw new WritError('inactive', 'The emergency access lasts; it is reviewed when it is over.', {
      remedy: 'End it with "writ break-glass end", or wait.',
    });
  }
  const batch = newBatch();
  pushReview(batch, { id, at: now, by: person, note });
  const after: Emergency = { ...emergency, reviewedAt: now, reviewedBy: person, note };
  batch.events.push({
    type: 'emergency.reviewed',
    subjects: [...new Set([...subjectsOf(emergency), `person:${person}`])],
    body: { caller: caller.id, emergency: id, person },
  });
  tell(batch, 'reviewed', after, parts);
  committed(await parts.commit(batch));
  return after;
}

export async function showEmergency(
  caller: Caller,
  id: string,
  { reader, authorize }: Pick<ApprovalParts, 'reader' | 'authorize'>,
): Promise<Emergency> {
  demand(authorize, { caller, action: 'approval.read', resource: INSTALLATION });
  return find(reader, id);
}

/** The newest first; `open`: those alone that wait for a review. */
export async function showEmergencies(
  caller: Caller,
  { open }: { readonly open: boolean },
  request: PageRequest,
  { reader, authorize }: Pick<ApprovalParts, 'reader' | 'authorize'>,
): Promise<Page<Emergency>> {
  demand(authorize, { caller, action: 'approval.read', resource: INSTALLATION });
  const limit = pageLimit(request);
  const filters = { open: open ? 'true' : 'false' };
  const before =
    request.cursor === undefined
      ? '~'
      : (decodeCursor(request.cursor, 'emergencies', filters, ['string'])[0] as string);
  const found = await listEmergencies(reader, { open, before, limit: limit + 1 });
  const items = found.slice(0, limit);
  const more = found.length > limit;
  return { items, ...(more ? { next: encodeCursor('emergencies', filters, [items.at(-1)!.id]) } : {}) };
}

async function find(reader: Reader, id: string): Promise<Emergency> {
  const found = await readEmergency(reader, id);
  if (found !== undefined) return found;
  throw new WritError('not_found', 'There is no emergency access by that id.', {
    field: '/id',
    remedy: 'See "writ break-glass list".',
  });
}

function subjectsOf({ id, operator, person, approval }: Emergency): string[] {
  const who = operator === '' ? [] : [`operator:${operator}`, `person:${person}`];
  return [`emergency:${id}`, `approval:${approval}`, ...who];
}

/** The purpose is for whoever looks with a certificate, as the reason of an approval is. */
function tell(
  batch: Batch,
  happening: 'begun' | 'ended' | 'reviewed',
  one: Emergency,
  parts: Omit<ApprovalParts, 'authorize'>,
): void {
  const { id, kind, operator, person, people, approval, endsAt, reviewedBy } = one;
  pushNotice(
    batch,
    {
      type: `emergency.${happening}`,
      approval,
      data: {
        ...{ emergency: id, kind, operator, person, people, approval, ends_at: new Date(endsAt).toISOString() },
        ...(reviewedBy === undefined ? {} : { reviewed_by: reviewedBy }),
      },
    },
    parts,
  );
}
