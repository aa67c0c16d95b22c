/**
 * The load generator, in a process of its own: keeps connections of distinct agents to several servers, and on command
 * has each of them send one renewal after the other, every one with a request that was never sent there before.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import { encodePem } from '../src/der/pem.ts';
import { newRequest } from './fleet.ts';
import { inFlight } from './in-flight.ts';

export type Command =
  /** Opens a connection for each member in the file. */
  | { readonly do: 'open'; readonly server: string; readonly port: number }
  /** Renews over all connections in turn, so many at a time and for so long (milliseconds); waits for all answers. */
  | { readonly do: 'run'; readonly server: string; readonly ms: number; readonly inFlight: number }
  | { readonly do: 'close'; readonly server: string };

export interface Outcome {
  readonly answers: number;
  /** Milliseconds from the first request to the last answer. */
  readonly ms: number;
  /** Milliseconds that single requests took: half of them at most, all but one in a hundred, all. */
  readonly p50: number;
  readonly p99: number;
  readonly most: number;
}

/** A member's credential, as `writeMembers` leaves it in a file. */
export interface MemberFile {
  readonly root: string;
  readonly members: readonly { readonly key: string; readonly chain: string }[];
}

interface Connection {
  readonly socket: TLSSocket;
  readonly send: (done: (ms: number) => void) => void;
}

const [, , file, prepared] = process.argv;
const { root, members } = JSON.parse(readFileSync(file!, 'utf8')) as MemberFile;
const contexts = members.map(({ key, chain }) => createSecureContext({ key, cert: chain, ca: root }));
const servers = new Map<string, Connection[]>();
/** Bodies by member. Each server gets each of them once, as long as they last. */
const bodies = await makeBodies(Number(prepared));

process.on('message', (command: Command) => {
  perform(command).then(
    (outcome) => process.send!({ outcome }),
    (error: Error) => process.send!({ error: error.message }),
  );
});
process.on('disconnect', () => process.exit());
process.send!({ outcome: undefined });

async function perform(command: Command): Promise<Outcome | undefined> {
  const connections = servers.get(command.server) ?? [];
  switch (command.do) {
    case 'open':
      servers.set(command.server, connections);
      await inFlight(
        contexts.length,
        async (i) => {
          connections[i] = await open(command.port, contexts[i]!, bodies[i]!);
        },
        16,
      );
      return undefined;
    case 'run':
      return runFor(connections, command);
    case 'close':
      for (const { socket } of connections) socket.destroy();
      servers.delete(command.server);
      return undefined;
  }
}

async function makeBodies(each: number): Promise<string[][]> {
  const made = members.map((): string[] => []);
  await inFlight(members.length * each, async (i) => {
    const { csr } = await newRequest();
    made[i % members.length]!.push(JSON.stringify({ csr: encodePem('CERTIFICATE REQUEST', csr) }));
  });
  return made;
}

async function open(port: number, secureContext: SecureContext, bodies: readonly string[]): Promise<Connection> {
  const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', secureContext, minVersion: 'TLSv1.3' });
  await once(socket, 'secureConnect');
  socket.setNoDelay(true);
  let next = 0;
  let missing = 0;
  let sent = 0;
  let done: ((ms: number) => void) | undefined;
  socket.on('error', (error) => fail(error.message));
  socket.on('close', () => done !== undefined && fail('a server closed a connection before it answered'));
  socket.on('data', (chunk: Buffer) => {
    if (missing === 0) missing = answerLength(chunk);
    missing -= chunk.length;
    if (missing > 0) return;
    const answered = done!;
    done = undefined;
    answered(performance.now() - sent);
  });
  const connection: Connection = {
    socket,
    send(then) {
      done = then;
      sent = performance.now();
      const body = bodies[next++ % bodies.length]!;
      socket.write(
        'POST /v1/certificates/renew HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n' +
          `Idempotency-Key: ${randomUUID()}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
    },
  };
  // The first request, too, belongs to the opening: the server verifies the certificate on it, and takes silence amiss.
  await new Promise((resolve) => connection.send(resolve));
  return connection;
}

/** Octets of the whole answer that begins with this chunk; its headers come in one. Ends the process unless it is 201. */
function answerLength(chunk: Buffer): number {
  const head = chunk.toString('latin1', 0, chunk.indexOf('\r\n\r\n') + 4);
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(head);
  if (!head.startsWith('HTTP/1.1 201 ') || length === null) fail(chunk.toString('utf8', 0, 1000));
  return head.length + Number(length![1]);
}

function runFor(
  connections: readonly Connection[],
  { ms, inFlight }: { readonly ms: number; readonly inFlight: number },
): Promise<Outcome> {
  const times: number[] = [];
  const started = performance.now();
  return new Promise((resolve) => {
    let busy = inFlight;
    for (let lane = 0; lane < inFlight; lane++) {
      // Each lane has connections of its own, and goes round them.
      let at = lane;
      const again = (): void => {
        const connection = connections[at]!;
        at = at + inFlight < connections.length ? at + inFlight : lane;
        connection.send((took) => {
          times.push(took);
          const now = performance.now();
          if (now - started < ms) again();
          else if (--busy === 0) resolve(outcomeOf(times, now - started));
        });
      };
      again();
    }
  });
}

function outcomeOf(times: number[], ms: number): Outcome {
  const sorted = Float64Array.from(times).sort();
  const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!;
  return { answers: sorted.length, ms, p50: at(0.5), p99: at(0.99), most: at(1) };
}

function fail(why: string): never {
  process.send!({ error: why });
  process.exit(1);
}
