import { setImmediate as turn } from 'node:timers/promises';
import type { Caller } from '../base/access.ts';
import { formatSerial } from '../ca/certificate/serial.ts';
import type { CertificateRow } from '../ca/index/certificates.ts';
import { certificateHistory } from '../ca/index/pages.ts';
import type { CertificatePosition } from '../ca/index/walk.ts';
import { decodeCursor, encodeCursor, type Page, type PageRequest, pageLimit } from '../db/cursor.ts';
import type { RecordedEvent } from '../ledger/entry.ts';
import { eventsOf, readEvent } from '../ledger/history.ts';
import { receipts } from '../ledger/receipt.ts';
import { readInstance } from '../registry/instance.ts';
import { keyText, positionAt } from './certificates.ts';
import { readableCertificate } from './may-read.ts';
import { originsOf, type StopOrigin } from './origin.ts';
import type { ReportParts } from './parts.ts';

/** An entry of the ledger, with its receipt where it was asked for; of what fell with something else also why. */
export type TracedEvent = RecordedEvent & { readonly receipt?: string; readonly stopped?: StopOrigin };

/**
 * Everything that the ledger says of the identity in a certificate, in the order of the log: how its agent was registered
 * and changed, the token, the enrolment, every certificate, refusals, revocations, the stop. With `receipts` each with the
 * proof that it is in the log. A page may be short, even empty, and yet have a next.
 *
 * Throws `denied`, `not_found` and `bad_cursor`.
 */
export async function trace(
  caller: Caller,
  query: { readonly serial: Uint8Array; readonly receipts?: boolean },
  request: PageRequest,
  parts: ReportParts,
): Promise<Page<TracedEvent>> {
  const row = await readableCertificate(caller, query.serial, parts);
  // A receipt costs more than anything else that a page can hold.
  const limit = Math.min(pageLimit(request), query.receipts === true ? MOST_RECEIPTS : Number.POSITIVE_INFINITY);
  const filters = { serial: formatSerial(row.serial) };
  const from = positionOf(filters, request);
  const identity = await identityOf(row, parts);
  const indexed = await indexedEvents(identity, from.after, limit, parts);
  const issues = await issuesFrom(row, identity, from.issues, limit, parts);
  const { leaves, next } = merge(indexed, issues, from, limit);
  const items: TracedEvent[] = [];
  const receiptOf = receipts(parts.reader);
  const originOf = originsOf(parts.reader);
  for (const [i, leaf] of leaves.entries()) {
    // Reading and hashing take no turn of the event loop by themselves; others are to be answered meanwhile.
    if (i % 8 === 7) await turn();
    const event = indexed.events.get(leaf) ?? (await readEvent(parts.reader, leaf))!;
    const stopped = await originOf(event);
    items.push({
      ...event,
      ...(query.receipts === true ? { receipt: await receiptOf(leaf) } : {}),
      ...(stopped === undefined ? {} : { stopped }),
    });
  }
  return { items, ...(next === undefined ? {} : { next: cursorOf(filters, next) }) };
}

/** Receipts on one page. */
const MOST_RECEIPTS = 50;

/** Where a page begins in the two streams that are merged. */
interface Position {
  /** Of what is indexed by subject: only leaves after this one. */
  readonly after: number;
  /** Of the certificates, which their rows index. */
  readonly issues: CertificatePosition;
}

/** Under which subjects the ledger speaks of an identity. */
interface Identity {
  readonly subjects: readonly string[];
  /** The token by which it came in: its creation belongs to the story, what it did for others does not. */
  readonly token?: string;
  /** Milliseconds: none of its certificates is older. */
  readonly since: number;
}

async function identityOf(row: CertificateRow, { reader }: ReportParts): Promise<Identity> {
  const serial = `serial:${formatSerial(row.serial)}`;
  const instance = row.instance === undefined ? undefined : await readInstance(reader, row.instance);
  if (instance === undefined) {
    return { subjects: row.kind === 'operator' ? [`operator:${row.name}`, serial] : [serial], since: 0 };
  }
  const { id, agent, attestation, reference, enrolledAt } = instance;
  // How fast its end took effect stands under the certificate alone.
  const subjects = [`registration:${agent}`, `instance:${id}`, serial];
  return { subjects, ...(attestation === 'join-token' ? { token: `token:${reference}` } : {}), since: enrolledAt };
}

interface Indexed {
  readonly events: ReadonlyMap<number, RecordedEvent>;
  /** In order. */
  readonly leaves: readonly number[];
  /** There are no more after these. */
  readonly whole: boolean;
}

async function indexedEvents(
  { subjects, token }: Identity,
  after: number,
  limit: number,
  { reader }: ReportParts,
): Promise<Indexed> {
  const events = new Map<number, RecordedEvent>();
  let whole = true;
  for (const subject of subjects) {
    const found = await eventsOf(reader, { subject, after, limit });
    whole &&= found.length < limit;
    for (const event of found) events.set(event.leaf, event);
  }
  const [created] = token === undefined ? [] : await eventsOf(reader, { subject: token, after, limit: 1 });
  if (created?.type === 'token.created') events.set(created.leaf, created);
  const leaves = [...events.keys()].sort((a, b) => a - b);
  return { events, leaves: leaves.slice(0, limit), whole: whole && leaves.length <= limit };
}

interface Issues {
  readonly leaves: readonly number[];
  readonly partitions: readonly number[];
  readonly next?: CertificatePosition;
}

async function issuesFrom(
  row: CertificateRow,
  { since }: Identity,
  from: CertificatePosition,
  limit: number,
  { certificates }: ReportParts,
): Promise<Issues> {
  if (row.kind === 'server' || row.kind === 'responder')
    return from.partition > 0 ? { leaves: [], partitions: [] } : { leaves: [row.leaf], partitions: [1] };
  const holder = row.instance === undefined ? { operator: row.name } : { instance: row.instance };
  const start = from.partition === 0 ? undefined : from;
  const { rows, partitions, next } = await certificateHistory(certificates, holder, since, limit, start);
  return { leaves: rows.map(({ leaf }) => leaf), partitions, ...(next === undefined ? {} : { next }) };
}

/**
 * Takes from the two streams by turns, always the earlier leaf, until the page is full or one of them has run out before
 * its end: what comes next in it might be earlier than what the other has.
 */
function merge(
  indexed: Indexed,
  issues: Issues,
  from: Position,
  limit: number,
): { readonly leaves: readonly number[]; readonly next?: Position } {
  const leaves: number[] = [];
  let [i, j] = [0, 0];
  while (leaves.length < limit) {
    const [a, b] = [indexed.leaves[i], issues.leaves[j]];
    if ((a === undefined && !indexed.whole) || (b === undefined && issues.next !== undefined)) break;
    if (a === undefined && b === undefined) return { leaves };
    if (b === undefined || (a !== undefined && a < b)) leaves.push(indexed.leaves[i++]!);
    else leaves.push(issues.leaves[j++]!);
  }
  const after = i === 0 ? from.after : indexed.leaves[i - 1]!;
  if (j === issues.leaves.length && issues.next !== undefined) return { leaves, next: { after, issues: issues.next } };
  const reached = j === 0 ? from.issues : { partition: issues.partitions[j - 1]!, after: issues.leaves[j - 1]! };
  return { leaves, next: { after, issues: reached } };
}

function positionOf(filters: { readonly serial: string }, { cursor }: PageRequest): Position {
  if (cursor === undefined) return { after: -1, issues: { partition: 0 } };
  const [from, partition, key] = decodeCursor(cursor, 'trace', filters, ['number', 'number', 'string']);
  return { after: (from as number) - 1, issues: positionAt(partition as number, key as string) };
}

function cursorOf(filters: { readonly serial: string }, { after, issues }: Position): string {
  return encodeCursor('trace', filters, [after + 1, issues.partition, keyText(issues)]);
}
