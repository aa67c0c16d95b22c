import { readFileSync } from 'node:fs';
import { WritError } from '../base/error.ts';

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** `90s`, `15m`, `1h`, `7d` or plain seconds, as whole seconds. Throws `bad_request` naming the flag. */
export function parseDuration(text: string, flag: string): number {
  const [, amount, unit] = /^(\d{1,9})([smhd]?)$/.exec(text) ?? [];
  if (amount === undefined) {
    throw new WritError('bad_request', 'This is not a duration', {
      field: `--${flag}`,
      remedy: 'Write it like 90s, 15m, 1h or 7d.',
    });
  }
  return Number(amount) * (UNITS[unit ?? ''] ?? 1);
}

/** Whole seconds as `parseDuration` takes them, in the largest unit that leaves none over: `7d`, `90s`. */
export function formatDuration(seconds: number): string {
  const unit = ['d', 'h', 'm'].find((one) => seconds > 0 && seconds % UNITS[one]! === 0) ?? 's';
  return `${seconds / UNITS[unit]!}${unit}`;
}

/**
 * A time: RFC 3339 (`2026-11-22T14:03:22Z`), the same without a zone (taken as UTC), a date, `now`, or a duration ago
 * (`-15m`). Gives RFC 3339 in UTC.
 */
export function parseTime(text: string, flag: string, now: number): string {
  if (text === 'now') return new Date(now).toISOString();
  if (/^-\d+[smhd]$/.test(text)) return new Date(now - parseDuration(text.slice(1), flag) * 1000).toISOString();
  const shape = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d)?)?$/;
  const zoned = /(?:Z|[+-]\d\d:\d\d)$/.test(text) || !/[T ]/.test(text) ? text : `${text}Z`;
  const time = shape.test(text) ? Date.parse(zoned.replace(' ', 'T')) : Number.NaN;
  if (Number.isNaN(time)) {
    throw new WritError('bad_request', 'This is not a time', {
      field: `--${flag}`,
      remedy: 'Write it like 2026-11-22T14:03:22Z, "now", or -15m for fifteen minutes ago.',
    });
  }
  return new Date(time).toISOString();
}

/** `key=value` pairs as an object. */
export function parsePairs(pairs: readonly string[], flag: string): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1) {
        throw new WritError('bad_request', 'This is not key=value', {
          field: `--${flag}`,
          remedy: 'Write it like tier=gold.',
        });
      }
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

/** A file's text; `-` is standard input. */
export function readInput(path: string, field: string): string {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (cause) {
    throw new WritError(
      'bad_request',
      `The file cannot be read: ${(cause as NodeJS.ErrnoException).code ?? 'unknown'}`,
      {
        field,
        remedy: `Check the path and its permissions: ${path}`,
        cause,
      },
    );
  }
}

/** A number of rows, entries or uses that was given with a flag. Throws `bad_request` naming it. */
export function parseCount(text: string, flag: string, most: number): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= most) return count;
  throw new WritError('bad_request', 'This number is not in range', {
    field: `--${flag}`,
    remedy: `Give a whole number from 1 to ${most}.`,
  });
}
