/**
 * A process that asks for its identities once, when it is told to: `spiffe-caller.ts SOCKET`. It speaks just as much HTTP/2
 * as that takes (RFC 9113), from octets that are ready before it connects, and has done so with itself before, so that what is
 * timed is the daemon and not a client's code that runs for the first time. It stays until it is told to end, since its
 * instance ends with it.
 */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export type CallerAnswer =
  | { readonly kind: 'ready' }
  /** Milliseconds from the connection being asked for to the last octet of the first message. */
  | { readonly kind: 'got'; readonly ms: number; readonly spiffeId: string };

const FRAME = { data: 0, headers: 1, settings: 4, windowUpdate: 8 } as const;
const ACK = 1;
const END_STREAM = 1;
const END_HEADERS = 4;
/** More than any answer here takes. */
const WINDOW = 0x3fff_0000;

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A header field that is not indexed, its name and value as they are, both shorter than 127 octets (RFC 7541 §6.2.2). */
function field(name: string, value: string): Buffer {
  const text = (said: string): Buffer => Buffer.concat([Buffer.of(said.length), Buffer.from(said, 'latin1')]);
  return Buffer.concat([Buffer.of(0), text(name), text(value)]);
}

function number(value: number): Buffer {
  const octets = Buffer.alloc(4);
  octets.writeUInt32BE(value);
  return octets;
}

const HEADERS = {
  ':method': 'POST',
  ':scheme': 'http',
  ':path': '/SpiffeWorkloadAPI/FetchX509SVID',
  ':authority': 'localhost',
  te: 'trailers',
  'content-type': 'application/grpc',
  'workload.spiffe.io': 'true',
};
const REQUEST = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1'),
  // SETTINGS_INITIAL_WINDOW_SIZE, and the same for the connection.
  frame(FRAME.settings, 0, 0, Buffer.concat([Buffer.of(0, 4), number(WINDOW)])),
  frame(FRAME.windowUpdate, 0, 0, number(WINDOW)),
  frame(
    FRAME.headers,
    END_HEADERS,
    1,
    Buffer.concat(Object.entries(HEADERS).map(([name, value]) => field(name, value))),
  ),
  // An empty message, not compressed.
  frame(FRAME.data, END_STREAM, 1, Buffer.alloc(5)),
]);
const ACKNOWLEDGED = frame(FRAME.settings, ACK, 0, Buffer.alloc(0));

/** What it answers to itself: as much as an identity takes. */
const REHEARSED = Buffer.concat([
  frame(FRAME.settings, 0, 0, Buffer.alloc(0)),
  ACKNOWLEDGED,
  frame(FRAME.headers, END_HEADERS, 1, field(':status', '200')),
  frame(FRAME.data, 0, 1, Buffer.concat([Buffer.of(0), number(4096), Buffer.from('spiffe://rehearsal'.padEnd(4096))])),
]);
const REHEARSALS = 10;

const say = (answer: CallerAnswer): void => void process.send!(answer);

process.on('disconnect', () => process.exit());
await rehearse();
process.on('message', () => void ask(process.argv[2]!).then(({ answer }) => say({ kind: 'got', ...answer })));
say({ kind: 'ready' });

/** Of Linux's abstract names, which leave nothing behind. */
async function rehearse(): Promise<void> {
  const path = `\0writ-bench-caller-${process.pid}`;
  const server = createServer((socket) => socket.once('data', () => socket.write(REHEARSED)));
  await once(server.listen(path), 'listening');
  for (let count = 0; count < REHEARSALS; count++) {
    const { socket } = await ask(path);
    socket.off('close', closed).destroy();
  }
  server.close();
}

interface Asked {
  readonly answer: { readonly ms: number; readonly spiffeId: string };
  readonly socket: Socket;
}

function ask(path: string): Promise<Asked> {
  const begun = performance.now();
  const socket = connect(path);
  socket.write(REQUEST);
  let read = Buffer.alloc(0);
  let message = Buffer.alloc(0);
  let said = false;
  socket.on('error', fail);
  socket.on('close', closed);
  return new Promise((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      read = Buffer.concat([read, chunk]);
      while (read.length >= 9 && read.length >= 9 + read.readUIntBE(0, 3)) {
        const end = 9 + read.readUIntBE(0, 3);
        take(read[3]!, read[4]!, read.subarray(9, end));
        read = read.subarray(end);
      }
    });

    function take(type: number, flags: number, payload: Buffer): void {
      if (type === FRAME.settings && (flags & ACK) === 0) socket.write(ACKNOWLEDGED);
      if (type === FRAME.headers && (flags & END_STREAM) !== 0) fail(new Error('the daemon refused the call'));
      if (type !== FRAME.data || said) return;
      message = Buffer.concat([message, payload]);
      if (message.length < 5 || message.length < 5 + message.readUInt32BE(1)) return;
      const ms = performance.now() - begun;
      said = true;
      // Field 1 of the first X509SVID is the only text in a message that begins so.
      const spiffeId = /spiffe:\/\/[\w./-]+/.exec(message.toString('latin1'))?.[0];
      if (spiffeId === undefined) fail(new Error('there is no identity in the answer'));
      else resolve({ answer: { ms, spiffeId }, socket });
    }
  });
}

function closed(): void {
  fail(new Error('the daemon closed the connection'));
}

function fail(error: Error): void {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
}
