import { WritError } from '../../base/error.ts';
import type { Exchange, Reply, Route } from '../../http/route.ts';
import { feedAcks, feedPoints } from '../../wire/feed.ts';
import { BEHIND_TEXT, entriesText, parseEventId, stateText } from '../../wire/feed-events.ts';
import { feedTimeQuestion } from '../../wire/feed-signed.ts';
import { signedText } from '../../wire/feed-statement.ts';
import { parseJsonObject } from '../../wire/json.ts';
import { parse } from '../../wire/schema.ts';
import type { Feed, Place } from './feed.ts';
import type { FeedEncoding } from './hub.ts';
import type { FeedSigner } from './signer.ts';

const EVENTS: FeedEncoding = {
  state: (kind, state) => Buffer.from(stateText(kind, state)),
  entries: ({ log, entries }) => Buffer.from(entriesText(log, entries)),
  behind: () => Buffer.from(BEHIND_TEXT),
};

/** The same for a relay, whose followers need not believe it. */
function signedEvents(signer: FeedSigner): FeedEncoding {
  return {
    ...EVENTS,
    state: (kind, state) =>
      kind === 'hello' ? EVENTS.state(kind, state) : Buffer.from(signedText(signer.sign({ kind: 'state', ...state }))),
    entries: (segment) => Buffer.from(signedText(signer.sign({ kind: 'entries', ...segment }))),
  };
}

/** Octets of what a relay says of the points behind it: what they have done, and who they all are. */
const RELAY_LIMIT = 256 * 1024;

/** The routes of the feed, each for any caller with a good certificate (`docs/FEED.md`). */
export function feedRoutes(feed: Feed, signer: FeedSigner): Route[] {
  const signed = signedEvents(signer);
  return [
    {
      method: 'GET',
      path: '/v1/feed',
      access: 'caller',
      handle(exchange) {
        const { caller, headers } = exchange;
        const query = queryOf(exchange, ['point', 'signed']);
        const encoding = query.has('signed') ? signed : EVENTS;
        if (query.has('signed') && query.get('signed') !== '1') throw bad('?signed', 'Use 1, or leave it out.');
        const point = query.get('point') ?? undefined;
        const begin = feed.follow(caller, { point, place: placeOf(headers['last-event-id']) });
        return { status: 200, type: 'text/event-stream', body: '', stream: (stream) => begin(stream, encoding) };
      },
    },
    {
      method: 'GET',
      path: '/v1/feed/entries',
      access: 'caller',
      handle: async (exchange) => json(await feed.page(afterOf(exchange))),
    },
    {
      method: 'GET',
      path: '/v1/feed/signed-entries',
      access: 'caller',
      async handle(exchange) {
        const after = afterOf(exchange);
        return json(signer.sign({ kind: 'page', after, ...(await feed.page(after)) }));
      },
    },
    {
      method: 'POST',
      path: '/v1/feed/time',
      access: 'caller',
      recordsNothing: true,
      handle: ({ body }) => json(feed.time(parse(feedTimeQuestion, parseJsonObject(body), 'body'))),
    },
    {
      method: 'POST',
      path: '/v1/feed/acks',
      access: 'caller',
      recordsNothing: true,
      bodyLimit: RELAY_LIMIT,
      handle({ caller, body }) {
        feed.acknowledge(caller, parse(feedAcks, parseJsonObject(body), 'body'));
        return json({});
      },
    },
    {
      method: 'POST',
      path: '/v1/feed/points',
      access: 'caller',
      recordsNothing: true,
      bodyLimit: RELAY_LIMIT,
      handle({ caller, body }) {
        feed.setBehind(caller, parse(feedPoints, parseJsonObject(body), 'body'));
        return json({});
      },
    },
    {
      method: 'GET',
      path: '/v1/feed/effect',
      access: 'caller',
      handle: (exchange) => json(feed.effect(exchange.caller, queryOf(exchange, ['subject']).get('subject') ?? '')),
    },
  ];
}

function afterOf(exchange: Exchange): number {
  const after = queryOf(exchange, ['after']).get('after') ?? '0';
  if (!/^\d{1,15}$/.test(after)) throw bad('?after', 'Use the position of an entry, or 0.');
  return Number(after);
}

/** Where a subscriber goes on: `Last-Event-ID` is the number of the log and a position. Without it, from now on. */
function placeOf(header: string | string[] | undefined): Place | undefined {
  if (header === undefined) return undefined;
  const place = parseEventId(String(header));
  if (place === undefined) throw bad('Last-Event-ID', 'Send the id of the last event as it was received.');
  return place;
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
