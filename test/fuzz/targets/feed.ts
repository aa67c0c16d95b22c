import { isWritError, WritError } from '../../../src/base/error.ts';
import { openCodecs } from '../../../src/grpc/codec.ts';
import { encodeFrame, FrameReader } from '../../../src/grpc/frame.ts';
import { parseTimeout } from '../../../src/grpc/timeout.ts';
import * as messages from '../../../src/status/feed/messages.ts';
import { parseEventId, parseFeedEvent } from '../../../src/wire/feed-events.ts';
import { demand, type Target } from '../target.ts';

const text = (input: Uint8Array): string => Buffer.from(input).toString('latin1');

/** Input: the header with which a subscriber says how far it is. */
export const lastEventId: Target = {
  name: 'last-event-id',
  form: 'text',
  longest: 1_024,
  codes: ['bad_request'],
  words: ['.', '-', '0', '1', '999999999', '999999999999999', ' ', 'e1', '0x'],
  run(input) {
    const place = parseEventId(text(input));
    if (place === undefined) throw new WritError('bad_request', 'no place');
    demand(Number.isSafeInteger(place.log) && Number.isSafeInteger(place.position), 'a place that is none');
    demand(place.log >= 0 && place.position >= 0, 'a place before the first');
  },
};

/** Input: one server-sent event, as a client or a relay takes it. */
export const feedEvent: Target = {
  name: 'feed-event',
  form: 'text',
  longest: 8_192,
  codes: ['bad_request'],
  words: ['event: ', 'data: ', 'id: ', '\n', 'entry', 'hello', 'heartbeat', 'behind', 'signed', '{', '}', '"', '\r'],
  run(input) {
    try {
      parseFeedEvent(Buffer.from(input).toString('utf8'));
    } catch (error) {
      // A reader takes whatever is thrown as the end of the connection.
      if (error instanceof SyntaxError) throw new WritError('bad_request', 'no JSON');
      throw error;
    }
  },
};

const LARGEST = 256;

/** Input: the body of a call. However it is cut, the same messages come out of it. */
export const grpcFrame: Target = {
  name: 'grpc-frame',
  form: 'text',
  longest: 4_096,
  codes: ['bad_request', 'too_large'],
  words: ['\u0000\u0000\u0000\u0000\u0000', '\u0000\u0000\u0000\u0000\u0001a', '\u0001', '\u0000\u0000\u0001\u0000'],
  run(input) {
    const bytewise = new FrameReader(LARGEST);
    let refusal: unknown;
    const single: Uint8Array[] = [];
    try {
      for (const octet of input) single.push(...bytewise.push(Uint8Array.of(octet)));
      bytewise.end();
    } catch (error) {
      if (!isWritError(error)) throw error;
      refusal = error;
    }
    const reader = new FrameReader(LARGEST);
    const whole = reader.push(input);
    reader.end();
    if (refusal !== undefined) throw refusal;
    demand(whole.length === single.length, 'a body has other messages when it comes in pieces');
    demand(Buffer.concat(whole.map(encodeFrame)).equals(input), 'messages are not what the body was made of');
    demand(
      whole.every(({ length }) => length <= LARGEST),
      'a message beyond the limit',
    );
  },
};

const codecs = openCodecs(messages.FEED_FILE);
const CODECS = [
  codecs.of(messages.followRequest),
  codecs.of(messages.acknowledgeRequest),
  codecs.of(messages.listEntriesRequest),
  codecs.of(messages.setPointsRequest),
  codecs.of(messages.getEffectRequest),
  codecs.of(messages.followResponse),
  codecs.of(messages.listEntriesResponse),
  codecs.of(messages.effect),
  codecs.of(messages.signed),
  codecs.of(messages.getTimeRequest),
];

/** Input: a message of the feed; each is read as all of them. What is read can be written, and reads the same again. */
export const grpcMessage: Target = {
  name: 'grpc-message',
  form: 'text',
  longest: 4_096,
  codes: ['bad_request'],
  words: [
    '\u0008\u0001',
    '\u0010\u007f',
    '\u0012\u0004\u0008\u0001\u0010\u0007',
    '\n\u0001a',
    '\n\u007f',
    '\u001a\u0002',
  ],
  run(input) {
    let refusal: unknown;
    let taken = false;
    for (const codec of CODECS as readonly {
      encode(value: unknown): Uint8Array;
      decode(bytes: Uint8Array): unknown;
    }[]) {
      try {
        const value = codec.decode(input);
        taken = true;
        const again = codec.decode(codec.encode(value));
        demand(JSON.stringify(again) === JSON.stringify(value), 'a message is another when it is written again');
      } catch (error) {
        if (!isWritError(error)) throw error;
        refusal ??= error;
      }
    }
    if (!taken) throw refusal;
  },
};

/** Input: the header that says how long a caller waits. */
export const grpcTimeout: Target = {
  name: 'grpc-timeout',
  form: 'text',
  longest: 1_024,
  codes: ['bad_request'],
  words: ['H', 'M', 'S', 'm', 'u', 'n', '0', '99999999', '-', '.'],
  run(input) {
    const ms = parseTimeout(text(input));
    if (ms === undefined) throw new WritError('bad_request', 'no time');
    demand(Number.isFinite(ms) && ms >= 0 && ms < 2 ** 31, 'a time that no timer takes');
  },
};
