import { hash } from 'node:crypto';
import { WritError } from '../base/error.ts';

/** Where a page stopped: the values by which its listing is ordered. Bytes travel as hex. */
export type Position = readonly (string | number)[];

/** What a listing is narrowed by. A cursor is good for the same filters only. */
export type Filters = Readonly<Record<string, string | number | undefined>>;

export interface PageRequest {
  /** 1 … 200; default 50. */
  readonly limit?: number;
  readonly cursor?: string;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Where to go on; absent at the end. A page may be short, even empty, and yet have one. */
  readonly next?: string;
}

const LIMIT_DEFAULT = 50;
const LIMIT_MOST = 200;

/** Longest cursor that is looked at, in characters. */
const LONGEST = 512;

/** The limit of a page. Throws `bad_request` when it is not an integer of 1 … 200. */
export function pageLimit(request: PageRequest): number {
  const { limit = LIMIT_DEFAULT } = request;
  if (Number.isSafeInteger(limit) && limit >= 1 && limit <= LIMIT_MOST) return limit;
  throw new WritError('bad_request', 'The limit is out of range.', {
    field: '?limit',
    remedy: `Give a whole number from 1 to ${LIMIT_MOST}.`,
  });
}

/**
 * A cursor for a listing, e.g. `agents`. It holds the position and a digest of listing and filters; no key, since
 * it is no secret and gives nothing: whoever makes one up begins the listing elsewhere, filtered and authorised as ever.
 */
export function encodeCursor(listing: string, filters: Filters, position: Position): string {
  return Buffer.from(JSON.stringify([tagOf(listing, filters), ...position]), 'utf8').toString('base64url');
}

/**
 * Reads a cursor strictly: of this listing and these filters, in the one spelling that `encodeCursor` gives, with a
 * position of the shape `shape`. Throws `bad_cursor`.
 */
export function decodeCursor(
  text: string,
  listing: string,
  filters: Filters,
  shape: readonly ('string' | 'number')[],
): Position {
  const fields = text.length <= LONGEST ? parse(text) : undefined;
  const position = fields?.slice(1) ?? [];
  const fits =
    fields !== undefined &&
    fields[0] === tagOf(listing, filters) &&
    position.length === shape.length &&
    position.every((value, index) => typeof value === shape[index] && (shape[index] === 'string' || isCount(value)));
  if (fits && encodeCursor(listing, filters, position as Position) === text) return position as Position;
  throw new WritError('bad_cursor', 'The cursor is not one that this listing gave for these filters.', {
    field: '?cursor',
    remedy: 'Send next_cursor of the page before unchanged with the same filters, or start without a cursor.',
  });
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function parse(text: string): unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function tagOf(listing: string, filters: Filters): string {
  const stated = Object.entries(filters).filter(([, value]) => value !== undefined);
  stated.sort(([a], [b]) => (a < b ? -1 : 1));
  return hash('sha256', JSON.stringify([listing, stated]), 'base64url').slice(0, 12);
}
