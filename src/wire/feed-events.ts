import type { FeedEntry, FeedState } from './feed.ts';
import type { SignedStatement } from './feed-statement.ts';

/** The events of the feed as server-sent events (HTML Living Standard §9.2): how they are written, and read back. */
export type FeedEvent =
  | { readonly kind: 'hello' | 'heartbeat'; readonly state: FeedState }
  | { readonly kind: 'entry'; readonly entry: FeedEntry }
  | { readonly kind: 'signed'; readonly signed: SignedStatement }
  | { readonly kind: 'behind' };

export function stateText(kind: 'hello' | 'heartbeat', state: FeedState): string {
  return `event: ${kind}\ndata: ${JSON.stringify(state)}\n\n`;
}

export function entriesText(log: number, entries: readonly FeedEntry[]): string {
  return entries
    .map((entry) => `id: ${log}.${entry.position}\nevent: entry\ndata: ${JSON.stringify(entry)}\n\n`)
    .join('');
}

/** How long `also` of an entry is good for, milliseconds. */
export const ALSO_MS = 60_000;

/** An entry as it is told at some time by the server's clock, in milliseconds: what has passed by then is left out. */
export function entryAt(entry: FeedEntry, time: number): FeedEntry {
  if (entry.also === undefined || entry.at >= time - ALSO_MS) return entry;
  const { also: _, ...alone } = entry;
  return alone;
}

/** Octets of what a reader missed that are sent in one piece; who missed more reads the pages, at its own pace. */
export const CATCH_UP: number = 128 * 1024;

export const BEHIND_TEXT = 'event: behind\ndata: {}\n\n';

/** Reads one event, without the empty line behind it; undefined for what is none of ours. Throws on what is no JSON. */
export function parseFeedEvent(block: string): FeedEvent | undefined {
  const kind = /^event: (.*)$/m.exec(block)?.[1];
  const data = /^data: (.*)$/m.exec(block)?.[1] ?? '{}';
  if (kind === 'entry') return { kind, entry: JSON.parse(data) as FeedEntry };
  if (kind === 'signed') return { kind, signed: JSON.parse(data) as SignedStatement };
  if (kind === 'hello' || kind === 'heartbeat') return { kind, state: JSON.parse(data) as FeedState };
  return kind === 'behind' ? { kind } : undefined;
}

/**
 * The log and position of a `Last-Event-ID` as it was sent, `LOG.POSITION`; undefined for what is none.
 */
export function parseEventId(id: string): { readonly log: number; readonly position: number } | undefined {
  const match = /^(\d{1,9})\.(\d{1,15})$/.exec(id);
  return match === null ? undefined : { log: Number(match[1]), position: Number(match[2]) };
}
