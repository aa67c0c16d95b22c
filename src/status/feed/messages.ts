import {
  bool,
  type EnumType,
  enumeration,
  type MessageType,
  message,
  nested,
  oneof,
  type ProtoFile,
  repeated,
  string,
  uint64,
} from '../../grpc/proto.ts';
import type {
  FeedAck,
  FeedAcks,
  FeedEffectReport,
  FeedEntry,
  FeedPage,
  FeedPoints,
  FeedState,
  PointAcks,
} from '../../wire/feed.ts';
import type { FeedTimeQuestion, SignedStatement } from '../../wire/feed-statement.ts';
import type { Place } from './feed.ts';

/**
 * What `proto/writ/feed/v1/feed.proto` says, which others generate their clients from. Numbers and types are wire values:
 * they never change.
 */
type Nothing = Readonly<Record<never, never>>;

export interface FollowRequest {
  readonly point?: string;
  readonly after?: Place;
  readonly signed?: boolean;
}

/** One of them. */
export interface FollowResponse {
  readonly hello?: FeedState;
  readonly entries?: { readonly entries: readonly FeedEntry[] };
  readonly heartbeat?: FeedState;
  readonly behind?: Nothing;
  readonly signed?: SignedStatement;
}

const effectKind: EnumType<FeedEntry['effect']> = { name: 'EffectKind', values: { stop: 1, hold: 2, release: 3 } };

const entry: MessageType<FeedEntry> = message<FeedEntry>('Entry', {
  position: uint64(1),
  act: uint64(2),
  effect: enumeration(3, effectKind),
  type: string(4),
  at: uint64(5),
  expires_at: uint64(6),
  subjects: repeated(string(7)),
  also: repeated(string(8)),
});

const state: MessageType<FeedState> = message<FeedState>('State', {
  log: uint64(1),
  position: uint64(2),
  epoch: uint64(3),
  as_of: uint64(4),
  time: uint64(5),
});

export const listEntriesRequest: MessageType<{ after: number }> = message('ListEntriesRequest', { after: uint64(1) });

export const listEntriesResponse: MessageType<FeedPage> = message<FeedPage>('ListEntriesResponse', {
  log: uint64(1),
  floor: uint64(2),
  entries: repeated(nested(3, entry)),
  position: uint64(4),
  complete: bool(5),
});

const place: MessageType<Place> = message<Place>('Place', { log: uint64(1), position: uint64(2) });

export const followRequest: MessageType<FollowRequest> = message<FollowRequest>('FollowRequest', {
  point: string(1),
  after: nested(2, place),
  signed: bool(3),
});

const entries: MessageType<{ readonly entries: readonly FeedEntry[] }> = message('Entries', {
  entries: repeated(nested(1, entry)),
});

const behind: MessageType<Nothing> = message<Nothing>('Behind', {});

export const signed: MessageType<SignedStatement> = message<SignedStatement>('Signed', {
  chain: repeated(string(1)),
  statement: string(2),
  signature: string(3),
});

export const getTimeRequest: MessageType<FeedTimeQuestion> = message<FeedTimeQuestion>('GetTimeRequest', {
  nonces: repeated(string(1)),
});

export const followResponse: MessageType<FollowResponse> = message<FollowResponse>('FollowResponse', {
  hello: oneof('event', nested(1, state)),
  entries: oneof('event', nested(2, entries)),
  heartbeat: oneof('event', nested(3, state)),
  behind: oneof('event', nested(4, behind)),
  signed: oneof('event', nested(5, signed)),
});

const ack: MessageType<FeedAck> = message<FeedAck>('Ack', {
  position: uint64(1),
  accepted_before: uint64(2),
  accepted_after: uint64(3),
});

const pointAcks: MessageType<PointAcks> = message<PointAcks>('PointAcks', {
  point: string(1),
  acks: repeated(nested(2, ack)),
});

export const acknowledgeRequest: MessageType<FeedAcks> = message<FeedAcks>('AcknowledgeRequest', {
  point: string(1),
  log: uint64(2),
  acks: repeated(nested(3, ack)),
  behind: repeated(nested(4, pointAcks)),
});

export const acknowledgeResponse: MessageType<Nothing> = message<Nothing>('AcknowledgeResponse', {});

export const setPointsRequest: MessageType<FeedPoints> = message<FeedPoints>('SetPointsRequest', {
  point: string(1),
  behind: repeated(string(2)),
});

export const setPointsResponse: MessageType<Nothing> = message<Nothing>('SetPointsResponse', {});

export const getEffectRequest: MessageType<{ subject: string }> = message('GetEffectRequest', { subject: string(1) });

export const effect: MessageType<FeedEffectReport> = message<FeedEffectReport>('Effect', {
  position: uint64(1),
  committed_at: string(2),
  points: uint64(3),
  acknowledged: uint64(4),
  p50_ms: uint64(5),
  p99_ms: uint64(6),
  max_ms: uint64(7),
  missing: repeated(string(8)),
  accepted_before: uint64(9),
  accepted_after: uint64(10),
  complete: bool(11),
});

export const FEED_FILE: ProtoFile = {
  path: 'writ/feed/v1/feed.proto',
  package: 'writ.feed.v1',
  enums: [effectKind],
  messages: [
    ...[entry, state, listEntriesRequest, listEntriesResponse, place, followRequest, followResponse, entries, behind],
    ...[acknowledgeRequest, ack, pointAcks, acknowledgeResponse, setPointsRequest, setPointsResponse],
    ...[getEffectRequest, effect, signed, getTimeRequest],
  ],
  service: {
    name: 'RevocationFeed',
    methods: [
      { name: 'ListEntries', request: listEntriesRequest, response: listEntriesResponse },
      { name: 'Follow', request: followRequest, response: followResponse, streams: 'response' },
      { name: 'Acknowledge', request: acknowledgeRequest, response: acknowledgeResponse },
      { name: 'SetPoints', request: setPointsRequest, response: setPointsResponse },
      { name: 'ListSignedEntries', request: listEntriesRequest, response: signed },
      { name: 'GetTime', request: getTimeRequest, response: signed },
      { name: 'GetEffect', request: getEffectRequest, response: effect },
    ],
  },
};
