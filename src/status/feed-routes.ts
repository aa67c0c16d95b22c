import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import type { Exchange, Reply, Route } from '../http/route.ts';
import { type FeedPage, feedAcks, POINT } from '../wire/feed.ts';
import { parseJsonObject } from '../wire/json.ts';
import { parse } from '../wire/schema.ts';
import type { FeedEffects } from './feed-effects.ts';
import type { FeedHub } from './feed-hub.ts';
import type { FeedTail } from './feed-tail.ts';

export interface FeedParts {
  readonly tail: FeedTail;
  readonly hub: FeedHub;
  readonly effects: FeedEffects;
}

const PAGE = 1000;
/** Pages that are kept while the epoch stays: after a restart everybody asks for the same. */
const PAGES = 64;

/** The routes of the feed, each for any caller with a good certificate: what is revoked is no secret (`docs/FEED.md`). */
export function feedRoutes({ tail, hub, effects }: FeedParts): Route[] {
  const pages = new Map<string, Promise<FeedPage>>();
  let pagesOf = -1;

  function page(after: number): Promise<FeedPage> {
    if (pagesOf !== tail.epoch) {
      pages.clear();
      pagesOf = tail.epoch;
    }
    const key = String(after);
    const known = pages.get(key);
    if (known !== undefined) return known;
    if (pages.size >= PAGES) pages.delete(pages.keys().next().value!);
    const read = readPage(after);
    pages.set(key, read);
    read.catch(() => pages.delete(key));
    return read;
  }

  async function readPage(after: number): Promise<FeedPage> {
    const { floor, entries, complete } = await tail.page(after, PAGE);
    const last = entries.at(-1)?.position ?? after;
    return { log: tail.log, floor, entries, position: complete ? Math.max(last, floor) : last, complete };
  }

  return [
    {
      method: 'GET',
      path: '/v1/feed',
      access: 'caller',
      handle(exchange) {
        const { caller, headers } = exchange;
        const point = queryOf(exchange, ['point']).get('point') ?? undefined;
        if (point !== undefined && !POINT.test(point)) throw bad('?point', 'Use 1 to 64 letters, digits and . _ : -');
        const after = resumeAt(headers['last-event-id'], tail);
        return {
          status: 200,
          type: 'text/event-stream',
          body: '',
          stream: (stream) =>
            hub.add({ stream, caller, after, point: point === undefined ? undefined : pointOf(caller, point) }),
        };
      },
    },
    {
      method: 'GET',
      path: '/v1/feed/entries',
      access: 'caller',
      async handle(exchange) {
        const after = queryOf(exchange, ['after']).get('after') ?? '0';
        if (!/^\d{1,15}$/.test(after)) throw bad('?after', 'Use the position of an entry, or 0.');
        return json(await page(Number(after)));
      },
    },
    {
      method: 'POST',
      path: '/v1/feed/acks',
      access: 'caller',
      recordsNothing: true,
      handle({ caller, body }) {
        const { point, log, acks } = parse(feedAcks, parseJsonObject(body), 'body');
        const key = pointOf(caller, point);
        if (log === tail.log) for (const ack of acks) effects.acknowledged(key, ack, hub.has(key));
        return json({});
      },
    },
    {
      method: 'GET',
      path: '/v1/feed/effect',
      access: 'caller',
      handle(exchange) {
        const subject = queryOf(exchange, ['subject']).get('subject') ?? '';
        const report = effects.report(subject, exchange.caller.kind === 'operator');
        if (report !== undefined) return json(report);
        throw new WritError('not_found', 'No recent stop of this subject is known here.', {
          field: '?subject',
          remedy: 'Name it as serial:HEX, instance:ID, agent:NAME or operator:NAME, within minutes of the stop.',
        });
      },
    },
  ];
}

/** Nobody can acknowledge for a point of somebody else. */
function pointOf({ id }: Caller, point: string): string {
  return `${id}#${point}`;
}

/** Where a subscriber goes on: `Last-Event-ID` is the number of the log and a position. Without it, from now on. */
function resumeAt(header: string | string[] | undefined, tail: FeedTail): number {
  if (header === undefined) return tail.position;
  const match = /^(\d{1,9})\.(\d{1,15})$/.exec(String(header));
  if (match === null) throw bad('Last-Event-ID', 'Send the id of the last event as it was received.');
  // Of a log that was lost in part: what it has at that position is something else.
  return Number(match[1]) === tail.log ? Number(match[2]) : -1;
}

function queryOf({ query }: Exchange, names: readonly string[]): URLSearchParams {
  const given = new URLSearchParams(query);
  for (const name of given.keys()) if (!names.includes(name)) throw bad('?', `Use: ${names.join(', ')}.`);
  return given;
}

function json(value: object): Reply {
  return { status: 200, body: JSON.stringify(value) };
}

function bad(field: string, remedy: string): WritError {
  return new WritError('bad_request', 'A value of the request cannot be understood.', { field, remedy });
}
