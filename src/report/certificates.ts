import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import { certificatesValidAt, listCertificates } from '../ca/index/pages.ts';
import { isStopped, readUnfinishedStops } from '../ca/index/unfinished-stop.ts';
import type { CertificatePage, CertificatePosition } from '../ca/index/walk.ts';
import { decodeCursor, encodeCursor, type Filters, type Page, type PageRequest, pageLimit } from '../db/cursor.ts';
import { type ReportedCertificate, withHolds } from './holds.ts';
import { mayRead, type Whose } from './may-read.ts';
import type { ReportParts } from './parts.ts';

export interface ListFilter extends Whose {
  readonly profile?: string;
  readonly state?: 'active' | 'held' | 'expired' | 'revoked';
}

/**
 * Which identities were valid at an instant (milliseconds): issued at or before it, expiring after it, and not revoked
 * by then; of each also whether it was quarantined then. In no particular order. Work for one page is bounded, so that one may be short and yet have a next; all of
 * them together are whole, as of the moments at which they were read.
 *
 * Throws `denied`, `bad_cursor` for a cursor of another question, and `not_found` for an instant of which the index is
 * not whole any more because what expired soon after it is past retention: the ledger alone has it.
 */
export async function certificatesAt(
  caller: Caller,
  query: Whose & { readonly time: number },
  request: PageRequest,
  parts: ReportParts,
): Promise<Page<ReportedCertificate>> {
  await mayRead(caller, query, parts);
  const { time, agent, instance } = query;
  const whole = await parts.certificates.completeSince();
  if (time < whole) throw pastRetention(whole);
  const filters = { time, agent, instance };
  const limit = pageLimit(request);
  const page = await certificatesValidAt(parts.certificates, query, limit, positionOf('valid-at', filters, request));
  // The rows of a stop that is being carried out say so only bit by bit.
  const stops = await readUnfinishedStops(parts.reader);
  const rows = stops.length === 0 ? page.rows : page.rows.filter((row) => !isStopped(row, stops, time));
  return pageOf('valid-at', filters, page, await withHolds(parts.reader, rows, time));
}

/** Certificates that pass a filter, those issued last first. `active` are those that no quarantine holds. Throws as `certificatesAt`. */
export async function certificateList(
  caller: Caller,
  filter: ListFilter,
  request: PageRequest,
  parts: ReportParts,
): Promise<Page<ReportedCertificate>> {
  await mayRead(caller, filter, parts);
  const { agent, instance, profile, state } = filter;
  const filters = { agent, instance, profile, state };
  const from = positionOf('certificates', filters, request);
  const page = await listCertificates(parts.certificates, filter, parts.clock.now(), pageLimit(request), from);
  const rows = await withHolds(parts.reader, page.rows);
  // A quarantine that has just begun, or one of an authority, has no mark at its certificates.
  return pageOf('certificates', filters, page, state === 'active' ? rows.filter(({ held }) => !held) : rows);
}

function pastRetention(whole: number): WritError {
  return new WritError(
    'not_found',
    'Certificates of that time are past retention; the index does not have all of them.',
    {
      field: '?time',
      remedy: `Ask about ${new Date(whole).toISOString()} or later, or search the entries of the ledger.`,
    },
  );
}

function pageOf(
  listing: string,
  filters: Filters,
  { next }: CertificatePage,
  rows: readonly ReportedCertificate[],
): Page<ReportedCertificate> {
  if (next === undefined) return { items: rows };
  return { items: rows, next: encodeCursor(listing, filters, [next.partition, keyText(next)]) };
}

/** A position of `ca/index/walk.ts` as a cursor holds it: digits, or hexadecimal with a letter before it for the order. */
export function keyText({ after, inClasses }: CertificatePosition): string {
  if (after === undefined) return '';
  if (typeof after === 'number') return String(after);
  return `${inClasses === true ? 'c' : 's'}${Buffer.from(after).toString('hex')}`;
}

export function positionAt(partition: number, key: string): CertificatePosition {
  if (key === '') return { partition };
  if (/^\d{1,15}$/.test(key)) return { partition, after: Number(key) };
  const after = new Uint8Array(Buffer.from(key.slice(1), 'hex'));
  return key.startsWith('c') ? { partition, after, inClasses: true } : { partition, after };
}

function positionOf(listing: string, filters: Filters, { cursor }: PageRequest): CertificatePosition | undefined {
  if (cursor === undefined) return undefined;
  const [partition, key] = decodeCursor(cursor, listing, filters, ['number', 'string']) as [number, string];
  return positionAt(partition, key);
}
