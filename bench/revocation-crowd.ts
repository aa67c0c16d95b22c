/** Subscribers of the feed that only read, in a process of their own: each a connection over TLS with its stream. */
import { type ConnectionOptions, connect, createSecureContext, type TLSSocket } from 'node:tls';
import { inFlight } from './in-flight.ts';

export type CrowdCommand =
  | { readonly do: 'open'; readonly port: number; readonly count: number; readonly members: readonly CrowdMember[] }
  /** Answers when all have been told of this subject. */
  | { readonly do: 'expect'; readonly subject: string };

export interface CrowdMember {
  readonly key: string;
  readonly chain: string;
  readonly roots: readonly string[];
}

/** When the last of them was told: wall clock. */
export interface CrowdAnswer {
  readonly kind: 'opened' | 'expecting' | 'told';
  readonly at: number;
}

/** From one address the server takes fewer connections than this. */
const PER_ADDRESS = 1500;

let expected: string | undefined;
let left = 0;
const sockets: TLSSocket[] = [];

const say = (kind: CrowdAnswer['kind'], at = 0): void => void process.send!({ kind, at });

process.on('disconnect', () => process.exit());
process.on('message', (command: CrowdCommand) => {
  if (command.do === 'expect') {
    expected = command.subject;
    left = sockets.length;
    say('expecting');
    return;
  }
  open(command).then(
    () => say('opened'),
    (error: Error) => {
      process.stderr.write(`${error.stack}\n`);
      process.exit(1);
    },
  );
});

async function open({ port, count, members }: Extract<CrowdCommand, { do: 'open' }>): Promise<void> {
  const contexts = members.map(({ key, chain, roots }) => createSecureContext({ key, cert: chain, ca: [...roots] }));
  await inFlight(count, (i) => subscribe(i, port, contexts[i % contexts.length]!), 32);
}

function subscribe(i: number, port: number, secureContext: ReturnType<typeof createSecureContext>): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...{ host: '127.0.0.1', port, secureContext, checkServerIdentity: () => undefined },
      localAddress: `127.0.0.${2 + Math.floor(i / PER_ADDRESS)}`,
    } as ConnectionOptions);
    let begun = false;
    let told: string | undefined;
    socket.on('error', reject);
    socket.on('close', () => {
      process.stderr.write('a subscriber was cut off\n');
      process.exit(1);
    });
    socket.on('secureConnect', () => socket.write('GET /v1/feed HTTP/1.1\r\nHost: localhost\r\n\r\n'));
    socket.on('data', (chunk: Buffer) => {
      if (!begun && chunk.includes('event: heartbeat')) {
        begun = true;
        sockets.push(socket);
        resolve();
      }
      if (expected === undefined || told === expected || !chunk.includes(expected)) return;
      told = expected;
      if (--left === 0) say('told', performance.timeOrigin + performance.now());
    });
  });
}
