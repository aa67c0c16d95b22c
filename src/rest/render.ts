import type { Page as StorePage } from '../db/cursor.ts';
import type { Page } from '../wire/page.ts';

/** Milliseconds as RFC 3339 in UTC with milliseconds. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString();
}

/** Octets as lower-case hex. */
export function hexText(octets: Uint8Array): string {
  return octets.toHex();
}

/** A page of a store as a page of the interface. */
export function pageAnswer<S, W>(page: StorePage<S>, render: (item: S) => W): Page<W> {
  return { items: page.items.map(render), ...(page.next === undefined ? {} : { next_cursor: page.next }) };
}

/** `{ [key]: value }`, or nothing where there is no value: answers have no null and no undefined. */
export function given<K extends string, V>(key: K, value: V | undefined): { [key in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [key in K]: V });
}

/** As `given`, for a time in milliseconds. */
export function givenTime<K extends string>(key: K, ms: number | undefined): { [key in K]?: string } {
  return given(key, ms === undefined ? undefined : timeText(ms));
}
