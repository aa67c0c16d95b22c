import type { Caller } from '../../base/access.ts';
import { type Codecs, openCodecs } from '../../grpc/codec.ts';
import { encodeFrame } from '../../grpc/frame.ts';
import type { MessageType } from '../../grpc/proto.ts';
import { methodPath } from '../../grpc/proto.ts';
import { type Answers, type ServerMethod, serverStream, unary } from '../../grpc/server-method.ts';
import type { Door } from '../../http/door.ts';
import { type FeedEntry, type FeedPage, feedAcks, feedPoints } from '../../wire/feed.ts';
import { feedTimeQuestion } from '../../wire/feed-signed.ts';
import type { FeedSegment } from '../../wire/feed-statement.ts';
import { parse } from '../../wire/schema.ts';
import type { Feed } from './feed.ts';
import type { FeedEncoding, FeedStream } from './hub.ts';
import * as messages from './messages.ts';
import type { FeedSigner } from './signer.ts';

/** Octets of entries in one message, about: clients take 4 MiB unless told otherwise. */
const MOST_IN_ONE = 512 * 1024;

/** The feed as gRPC, for any caller with a good certificate: the same as `feedRoutes`, by the same bounds. */
export function feedMethods(feed: Feed, signer: FeedSigner): ServerMethod<Door>[] {
  const codecs = openCodecs(messages.FEED_FILE);
  const encoding = encodingOf(codecs);
  const signedEncoding = signedEncodingOf(codecs, signer);
  return [
    plain(codecs, 'ListEntries', messages.listEntriesRequest, messages.listEntriesResponse, async (_, { after }) =>
      shortened(await feed.page(after)),
    ),
    plain(codecs, 'ListSignedEntries', messages.listEntriesRequest, messages.signed, async (_, { after }) =>
      signer.sign({ kind: 'page', after, ...shortened(await feed.page(after)) }),
    ),
    plain(codecs, 'GetTime', messages.getTimeRequest, messages.signed, (_, question) =>
      feed.time(parse(feedTimeQuestion, question, 'body')),
    ),
    plain(codecs, 'Acknowledge', messages.acknowledgeRequest, messages.acknowledgeResponse, (caller, acks) => {
      feed.acknowledge(caller, parse(feedAcks, acks, 'body'));
      return {};
    }),
    plain(codecs, 'SetPoints', messages.setPointsRequest, messages.setPointsResponse, (caller, points) => {
      feed.setBehind(caller, parse(feedPoints, points, 'body'));
      return {};
    }),
    plain(codecs, 'GetEffect', messages.getEffectRequest, messages.effect, (caller, { subject }) =>
      feed.effect(caller, subject),
    ),
    serverStream<Door, messages.FollowRequest, messages.FollowResponse>({
      path: methodPath(messages.FEED_FILE, 'Follow'),
      request: codecs.of(messages.followRequest),
      response: codecs.of(messages.followResponse),
      async handle({ point, after, signed }, answers) {
        const { connection } = answers;
        const caller = await connection.authenticate();
        const begin = feed.follow(caller, { point: point === '' ? undefined : point, place: after });
        const leave = connection.stream(() => answers.end());
        begin(streamOf(answers, leave), signed === true ? signedEncoding : encoding);
      },
    }),
  ];
}

/** A method with one answer. */
function plain<Q, A>(
  codecs: Codecs,
  name: string,
  request: MessageType<Q>,
  response: MessageType<A>,
  handle: (caller: Caller, request: Q) => Promise<A> | A,
): ServerMethod<Door> {
  return unary<Door, Q, A>({
    path: methodPath(messages.FEED_FILE, name),
    request: codecs.of(request),
    response: codecs.of(response),
    // As of now: a request takes as long as its sender likes.
    handle: async (asked, { connection }) => handle(await connection.authenticate(), asked),
  });
}

function streamOf(answers: Answers<Door, messages.FollowResponse>, leave: () => void): FeedStream {
  answers.signal.addEventListener('abort', leave, { once: true });
  return {
    write: (frames) => answers.sendFrame(frames as Uint8Array),
    end: () => answers.end(),
    onEnd(listener) {
      if (answers.signal.aborted) listener();
      else answers.signal.addEventListener('abort', listener, { once: true });
    },
    async look() {
      try {
        await answers.connection.authenticate();
      } catch {
        answers.end({ code: 'unauthenticated', message: 'The certificate of the caller is not good any more.' });
      }
    },
  };
}

function framesOf(codecs: Codecs): (event: messages.FollowResponse) => Buffer {
  const codec = codecs.of(messages.followResponse);
  return (event) => encodeFrame(codec.encode(event));
}

function encodingOf(codecs: Codecs): FeedEncoding {
  const frame = framesOf(codecs);
  return {
    state: (kind, state) => frame(kind === 'hello' ? { hello: state } : { heartbeat: state }),
    entries: (all) => Buffer.concat(inPieces(all.entries).map((entries) => frame({ entries: { entries } }))),
    behind: () => frame({ behind: {} }),
  };
}

function signedEncodingOf(codecs: Codecs, signer: FeedSigner): FeedEncoding {
  const frame = framesOf(codecs);
  return {
    state: (kind, state) =>
      frame(kind === 'hello' ? { hello: state } : { signed: signer.sign({ kind: 'state', ...state }) }),
    entries: (all) =>
      Buffer.concat(segmentsOf(all).map((one) => frame({ signed: signer.sign({ kind: 'entries', ...one }) }))),
    behind: () => frame({ behind: {} }),
  };
}

/** In pieces of which each says what it follows. */
function segmentsOf({ log, after, entries }: FeedSegment): FeedSegment[] {
  let from = after;
  return inPieces(entries).map((some) => {
    const segment = { log, after: from, position: some.at(-1)!.position, entries: some };
    from = segment.position;
    return segment;
  });
}

function inPieces(entries: readonly FeedEntry[]): FeedEntry[][] {
  const pieces: FeedEntry[][] = [];
  let size = MOST_IN_ONE;
  for (const entry of entries) {
    size += sizeOf(entry);
    if (size > MOST_IN_ONE) {
      pieces.push([]);
      size = sizeOf(entry);
    }
    pieces.at(-1)!.push(entry);
  }
  return pieces;
}

/** A page that fits into one message: what is left of it comes with the next. */
function shortened(page: FeedPage): FeedPage {
  const [first, second] = inPieces(page.entries);
  if (second === undefined) return page;
  return { ...page, entries: first!, position: first!.at(-1)!.position, complete: false };
}

function sizeOf({ subjects, type }: FeedEntry): number {
  return subjects.reduce((sum, subject) => sum + subject.length + 3, type.length + 48);
}
