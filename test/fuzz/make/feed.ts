import { openCodecs } from '../../../src/grpc/codec.ts';
import { encodeFrame } from '../../../src/grpc/frame.ts';
import * as messages from '../../../src/status/feed/messages.ts';
import type { FeedEntry, FeedState } from '../../../src/wire/feed.ts';
import { BEHIND_TEXT, entriesText, stateText } from '../../../src/wire/feed-events.ts';
import { NOW } from '../../../src/x509/path/testdata/issue.ts';
import type { Files } from './files.ts';

/** What goes to and fro between the feed and who follows it. */
export function feed(): Record<string, Files> {
  const { of } = openCodecs(messages.FEED_FILE);
  const entry: FeedEntry = {
    position: 70,
    act: 69,
    effect: 'hold',
    type: 'stop.began',
    at: NOW,
    expires_at: NOW + 3_600_000,
    subjects: ['agent:planner', 'serial:01a2'],
    also: ['instance:01jd0000000000000000000000'],
  };
  const state: FeedState = { log: 1, position: 70, epoch: 9, as_of: NOW, time: NOW };
  const follow = of(messages.followRequest).encode({ point: 'gateway-1', after: { log: 1, position: 7 } });
  const acks = { point: 'gateway-1', log: 1, acks: [{ position: 7, accepted_before: 2 }] };
  const behind = { ...acks, behind: [{ point: 'agent-1', acks: [{ position: 6 }] }] };
  const block = (events: string): string => events.slice(0, -2);
  return {
    'last-event-id': { 'ok-first': '1.0', 'ok-later': '2.70', 'refused-empty': '', 'refused-sign': '1.-1' },
    'feed-event': {
      'ok-hello': block(stateText('hello', state)),
      'ok-entry': block(entriesText(1, [entry])),
      'ok-behind': block(BEHIND_TEXT),
      'ok-comment': ': nothing',
      'refused-cut': block(stateText('heartbeat', state)).slice(0, -1),
    },
    'grpc-frame': {
      'ok-none': '',
      'ok-one': encodeFrame(follow),
      'ok-two': Buffer.concat([encodeFrame(follow), encodeFrame(new Uint8Array())]),
      'refused-cut': encodeFrame(follow).subarray(0, -1),
      'refused-compressed': Buffer.concat([Buffer.of(1), encodeFrame(follow).subarray(1)]),
      'refused-large': Buffer.from('000001000000', 'hex'),
    },
    'grpc-message': {
      'ok-follow': follow,
      'ok-acks': of(messages.acknowledgeRequest).encode(acks),
      'ok-acks-behind': of(messages.acknowledgeRequest).encode(behind),
      'ok-list': of(messages.listEntriesRequest).encode({ after: 2 ** 40 }),
      'ok-points': of(messages.setPointsRequest).encode({ point: 'gateway-1', behind: ['a', 'b'] }),
      'ok-page': of(messages.listEntriesResponse).encode({
        ...{ log: 1, floor: 2, entries: [entry, entry], position: 70, complete: true },
      }),
      'ok-told': of(messages.followResponse).encode({ entries: { entries: [entry] } }),
      'refused-cut': Buffer.from('7a0561', 'hex'),
      'refused-wire-type': Buffer.from('0f', 'hex'),
    },
    'grpc-timeout': { 'ok-second': '1S', 'ok-hours': '99999999H', 'refused-unit': '1s', 'refused-long': '123456789m' },
  };
}
