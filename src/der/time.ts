import { WritError } from '../base/error.ts';
import { type Cursor, fail, peekTag, readHeader } from './reader.ts';
import { GENERALIZED_TIME, UTC_TIME } from './tag.ts';

/** First instant that X.509 writes as GeneralizedTime: 2050-01-01T00:00:00Z (RFC 5280 §4.1.2.5). */
const GENERALIZED_FROM = Date.UTC(2050, 0, 1);
const FIRST = Date.UTC(1950, 0, 1);
const LAST = Date.UTC(9999, 11, 31, 23, 59, 59);

/**
 * Reads a `Time` as milliseconds since the Unix epoch (RFC 5280 §4.1.2.5): UTCTime through 2049, GeneralizedTime from
 * 2050, both to the second, ending in Z, without fractions. The calendar is checked.
 */
export function readTime(cursor: Cursor, label: string): number {
  if (peekTag(cursor) !== UTC_TIME) return readGeneralizedTime(cursor, label, GENERALIZED_FROM);
  const end = readHeader(cursor, UTC_TIME, label);
  const { bytes, at } = cursor;
  if (end - at !== 13) fail(cursor, label, 'UTCTime not of the form YYMMDDHHMMSSZ');
  const year = pair(bytes, at);
  const ms = instant(cursor, label, year + (year >= 50 ? 1900 : 2000), at + 2);
  cursor.at = end;
  return ms;
}

/** Reads a GeneralizedTime of the form YYYYMMDDHHMMSSZ, not before `earliest` (milliseconds since the Unix epoch). */
export function readGeneralizedTime(
  cursor: Cursor,
  label: string,
  earliest: number = Number.NEGATIVE_INFINITY,
): number {
  const end = readHeader(cursor, GENERALIZED_TIME, label);
  const { bytes, at } = cursor;
  if (end - at !== 15) fail(cursor, label, 'GeneralizedTime not of the form YYYYMMDDHHMMSSZ');
  const ms = instant(cursor, label, pair(bytes, at) * 100 + pair(bytes, at + 2), at + 4);
  if (ms < earliest) fail(cursor, label, 'GeneralizedTime where UTCTime is due');
  cursor.at = end;
  return ms;
}

/** Two decimal digits as a number; NaN when they are none. */
function pair(bytes: Uint8Array, at: number): number {
  const tens = bytes[at]! - 0x30;
  const ones = bytes[at + 1]! - 0x30;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN;
}

/** MMDDHHMMSSZ, from `at` on, in `year`. */
function instant(cursor: Cursor, label: string, year: number, at: number): number {
  const { bytes } = cursor;
  const month = pair(bytes, at);
  const day = pair(bytes, at + 2);
  const hour = pair(bytes, at + 4);
  const minute = pair(bytes, at + 6);
  const second = pair(bytes, at + 8);
  const valid =
    year >= 0 &&
    month >= 1 &&
    month <= 12 &&
    day >= 1 &&
    day <= daysIn(year, month) &&
    hour <= 23 &&
    minute <= 59 &&
    second <= 59 &&
    bytes[at + 10] === 0x5a;
  if (!valid) fail(cursor, label, 'not a calendar time to the second in UTC (Z)');
  return daysFromEpoch(year, month, day) * 86_400_000 + (hour * 3600 + minute * 60 + second) * 1000;
}

function daysIn(year: number, month: number): number {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
  return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
}

/** Days from 1970-01-01 in the proleptic Gregorian calendar; years are counted from March, so that leap days come last. */
function daysFromEpoch(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const m = month <= 2 ? month + 9 : month - 3;
  const leapDays = Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400);
  return y * 365 + leapDays + Math.floor((m * 153 + 2) / 5) + day - 719_469;
}

/**
 * Writes a `Time`, tag and length included. `ms` must be a whole second within 1950 … 9999. UTCTime before 2050,
 * GeneralizedTime from then on.
 */
export function encodeTime(ms: number): Uint8Array {
  return ms < GENERALIZED_FROM ? write(UTC_TIME, ms, 13) : write(GENERALIZED_TIME, ms, 15);
}

/** Writes a GeneralizedTime whatever the year. `ms` must be a whole second within 1950 … 9999. */
export function encodeGeneralizedTime(ms: number): Uint8Array {
  return write(GENERALIZED_TIME, ms, 15);
}

function write(tag: number, ms: number, length: 13 | 15): Uint8Array {
  if (!(ms >= FIRST && ms <= LAST && ms % 1000 === 0)) {
    throw new WritError('bad_der', 'a time that X.509 cannot hold', {
      remedy: 'Give a whole second from 1950 to 9999.',
    });
  }
  const out = new Uint8Array(2 + length);
  const time = new Date(ms);
  const year = time.getUTCFullYear();
  out[0] = tag;
  out[1] = length;
  if (length === 15) writePair(out, 2, Math.floor(year / 100));
  writePair(out, length - 11, year % 100);
  writePair(out, length - 9, time.getUTCMonth() + 1);
  writePair(out, length - 7, time.getUTCDate());
  writePair(out, length - 5, time.getUTCHours());
  writePair(out, length - 3, time.getUTCMinutes());
  writePair(out, length - 1, time.getUTCSeconds());
  out[length + 1] = 0x5a;
  return out;
}

function writePair(out: Uint8Array, at: number, value: number): void {
  out[at] = 0x30 + Math.floor(value / 10);
  out[at + 1] = 0x30 + (value % 10);
}
