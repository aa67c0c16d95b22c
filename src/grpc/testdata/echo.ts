/** What `echo.proto` says, and a server of it on a unix socket or a port. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { WritError } from '../../base/error.ts';
import type { ClientMethod } from '../client.ts';
import { openCodecs } from '../codec.ts';
import { DEFAULT_GRPC_LIMITS, type GrpcLimits } from '../limits.ts';
import {
  bool,
  bytes,
  type EnumType,
  enumeration,
  type MessageType,
  message,
  methodPath,
  nested,
  oneof,
  type ProtoFile,
  repeated,
  string,
  uint64,
} from '../proto.ts';
import { GrpcServer } from '../server.ts';
import { bidirectional, serverStream, unary } from '../server-method.ts';

export interface Item {
  readonly name?: string;
  readonly sizes?: readonly number[];
}

export interface Words {
  readonly text?: string;
  readonly count?: number;
  readonly loud?: boolean;
  readonly raw?: Uint8Array;
  readonly colour?: 'dark_red' | 'blue';
  readonly items?: readonly Item[];
  readonly one?: Item;
  readonly left?: string;
  readonly right?: Item;
}

const colour: EnumType<'dark_red' | 'blue'> = { name: 'Colour', values: { dark_red: 1, blue: 2 } };

const item: MessageType<Item> = message<Item>('Item', { name: string(1), sizes: repeated(uint64(2)) });

export const words: MessageType<Words> = message<Words>('Words', {
  text: string(1),
  count: uint64(2),
  loud: bool(3),
  raw: bytes(4),
  colour: enumeration(5, colour),
  items: repeated(nested(6, item)),
  one: nested(7, item),
  left: oneof('choice', string(8)),
  right: oneof('choice', nested(9, item)),
});

export const ECHO: ProtoFile = {
  path: 'echo.proto',
  package: 'writ.test',
  messages: [item, words],
  enums: [colour],
  service: {
    name: 'Echo',
    methods: [
      { name: 'Say', request: words, response: words },
      { name: 'Repeat', request: words, response: words, streams: 'response' },
      { name: 'Chat', request: words, response: words, streams: 'both' },
    ],
  },
};

const codec = openCodecs(ECHO).of(words);
const shape = (name: string): ClientMethod<Words, Words> => ({ path: methodPath(ECHO, name), request: codec, response: codec });

/** The methods as a client calls them. */
export const echo: Readonly<Record<'say' | 'repeat' | 'chat', ClientMethod<Words, Words>>> = {
  say: shape('Say'),
  repeat: shape('Repeat'),
  chat: shape('Chat'),
};

/** What happened at the server. */
export interface Seen {
  /** Calls that were told that nobody waits any more. */
  aborted: number;
}

/**
 * `Say` gives back; `Repeat` sends `count` messages of as many octets as `text` says (until it is given up with `loud`);
 * `Chat` gives back each. The text "refuse" is refused, "break" breaks, "sleep" never answers.
 */
export async function echoServer(
  limits: Partial<GrpcLimits> = {},
): Promise<{ server: Server; grpc: GrpcServer<string>; port: number; seen: Seen; close(): Promise<void> }> {
  const seen: Seen = { aborted: 0 };
  const grpc = new GrpcServer<string>({
    limits: { ...DEFAULT_GRPC_LIMITS, ...limits },
    failure: (error) =>
      error instanceof WritError
        ? { code: error.code === 'too_large' ? 'resource_exhausted' : 'invalid_argument', message: error.message }
        : { code: 'internal', message: 'It broke: 100 % – ä.' },
    methods: [
      unary({
        ...shape('Say'),
        async handle(asked, { signal, connection }) {
          if (asked.text === 'refuse') throw new WritError('denied', 'No.', {});
          if (asked.text === 'break') throw new TypeError('secret');
          if (asked.text === 'who') return { ...asked, text: connection };
          if (asked.text === 'sleep') {
            await once(signal, 'abort');
            seen.aborted += 1;
          }
          return asked;
        },
      }),
      serverStream({
        ...shape('Repeat'),
        handle({ text, count = 0, loud = false }, answers) {
          for (let i = 1; i <= count; i++) answers.send({ count: i, raw: new Uint8Array(Number(text)) });
          if (!loud) answers.end();
          answers.signal.addEventListener('abort', () => {
            seen.aborted += 1;
          });
        },
      }),
      bidirectional({
        ...shape('Chat'),
        async handle(requests, answers) {
          for await (const one of requests) answers.send(one);
        },
      }),
    ],
  });
  const server = createServer((socket) => grpc.accept(socket, 'somebody'));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    ...{ server, grpc, seen, port: (server.address() as AddressInfo).port },
    async close() {
      server.close();
      await grpc.close(0);
    },
  };
}
