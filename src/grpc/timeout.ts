/** Milliseconds of each unit of `grpc-timeout`. */
const UNITS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };
/** Timers of Node go no further. */
const LONGEST_MS = 2 ** 31 - 1;

/** Milliseconds that the caller waits (`1S`, `250m`); undefined when the header is not what the protocol says. */
export function parseTimeout(header: string): number | undefined {
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(header) ?? [];
  return digits === undefined ? undefined : Math.min(LONGEST_MS, Number(digits) * UNITS[unit!]!);
}

/** The header for so many milliseconds, at least one. At most eight digits: beyond a day it is said in seconds. */
export function formatTimeout(milliseconds: number): string {
  const ms = Math.max(1, Math.ceil(milliseconds));
  return ms < 1e8 ? `${ms}m` : `${Math.min(99_999_999, Math.ceil(ms / 1000))}S`;
}
