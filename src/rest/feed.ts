import * as feed from '../wire/feed.ts';
import { feedSigned, feedTimeQuestion } from '../wire/feed-signed.ts';
import type { Described } from './openapi.ts';

/** The routes of the feed, as the description of the interface has them. `status/` answers them: docs/FEED.md. */
export const FEED_ROUTES: readonly Described[] = [
  {
    id: 'followFeed',
    method: 'GET',
    path: '/v1/feed',
    access: 'caller',
    summary: 'The revocation feed as server-sent events: hello, entry, heartbeat, behind.',
    query: feed.feedQuery,
    headers: feed.feedHeaders,
    raw: 'text/event-stream',
  },
  {
    id: 'listFeedEntries',
    method: 'GET',
    path: '/v1/feed/entries',
    access: 'caller',
    summary: 'What is in force after a position, in pages.',
    query: feed.feedEntriesQuery,
    answer: feed.feedPage,
  },
  {
    id: 'listSignedFeedEntries',
    method: 'GET',
    path: '/v1/feed/signed-entries',
    access: 'caller',
    summary: 'A page of what is in force after a position, signed, for whoever reads it through a relay.',
    query: feed.feedEntriesQuery,
    answer: feedSigned,
  },
  {
    id: 'tellFeedTime',
    method: 'POST',
    path: '/v1/feed/time',
    access: 'caller',
    recordsNothing: true,
    summary: 'The time of the server, signed together with what the caller has just made up.',
    body: feedTimeQuestion,
    answer: feedSigned,
    example: { body: { nonces: ['Zk3v9Qm2bT8xW1nLc0aPdg'] } },
  },
  {
    id: 'acknowledgeFeed',
    method: 'POST',
    path: '/v1/feed/acks',
    access: 'caller',
    recordsNothing: true,
    summary: 'Says what an enforcement point has done, and those behind it where it is a relay.',
    body: feed.feedAcks,
    answer: feed.feedTaken,
    example: {
      body: { point: 'gateway-1', log: 1, acks: [{ position: 4711, accepted_before: 2 }, { position: 4712 }] },
    },
  },
  {
    id: 'setFeedPoints',
    method: 'POST',
    path: '/v1/feed/points',
    access: 'caller',
    recordsNothing: true,
    summary: 'Says which points read from a relay now, all of them.',
    body: feed.feedPoints,
    answer: feed.feedTaken,
    example: { body: { point: 'gateway-1', behind: ['spiffe://example.org/agent/planner/01jd#a'] } },
  },
  {
    id: 'getFeedEffect',
    method: 'GET',
    path: '/v1/feed/effect',
    access: 'caller',
    summary: 'How far the latest stop of a subject has come at the points of this server.',
    query: feed.feedEffectQuery,
    answer: feed.feedEffectReport,
  },
];
