import { Duplex } from 'node:stream';

/** RFC 9113 §3.4, and §4.1: what each frame begins with. */
const PREFACE = 24;
const FRAME_HEADER = 9;
const [HEADERS, SETTINGS] = [1, 4];
const [PADDED, PRIORITY] = [0x08, 0x20];
/** RFC 9113 §6.5.2. */
const MAX_CONCURRENT_STREAMS = 3;
/** RFC 7541 appendix A: `:authority` in the static table. */
const AUTHORITY = 1;
/** Longer than any header block that is looked at; what is longer passes as it is. */
const MOST = 16_384;
const SLASH = 0x2f;
const DASH = 0x2d;

/**
 * Hands a connection over as Node can serve it, as soon as its first octets say who it is; they come at once, unasked (RFC
 * 9113 §3.4). One that is closed before is handed to nobody.
 */
export function normaliseAuthority(socket: Duplex, take: (connection: Duplex) => void): void {
  let start = Buffer.alloc(0);
  const look = (): void => {
    const more = socket.read() as Buffer | null;
    if (more === null) return;
    start = Buffer.concat([start, more]);
    const netty = isNetty(start);
    if (netty === undefined) return;
    socket.off('readable', look);
    socket.unshift(start);
    take(netty ? withoutSlashes(socket) : socket);
  };
  socket.on('readable', look);
}

/**
 * Whether these first octets of a connection are those of Netty, on which gRPC for Java stands: a client that says of itself
 * that nobody may open streams to it. Undefined while there are too few.
 */
function isNetty(start: Buffer): boolean | undefined {
  if (start.length < PREFACE + FRAME_HEADER) return undefined;
  const length = start.readUIntBE(PREFACE, 3);
  if (start[PREFACE + 3] !== SETTINGS || length > 256) return false;
  const settings = start.subarray(PREFACE + FRAME_HEADER, PREFACE + FRAME_HEADER + length);
  if (settings.length < length) return undefined;
  for (let at = 0; at + 6 <= length; at += 6) {
    if (settings.readUInt16BE(at) === MAX_CONCURRENT_STREAMS && settings.readUInt32BE(at + 2) === 0) return true;
  }
  return false;
}

/**
 * The connection of a client that gives the path of a unix socket as `:authority`, as gRPC for Java does. RFC 3986 §3.2 has
 * no slash there, and Node resets the streams of whoever sends one. Nobody asks for the authority on a unix socket, so each
 * slash in it becomes a dash on the way in: of the same length, so that nothing else of a frame or of HPACK's table changes.
 */
function withoutSlashes(socket: Duplex): Duplex {
  const rewriter = new AuthorityRewriter();
  const rewritten = new Duplex({
    read: () => void socket.resume(),
    write: (chunk: Buffer, _encoding, done) => void socket.write(chunk, done),
    final: (done) => void socket.end(done),
    destroy: (error, done) => {
      socket.destroy();
      done(error);
    },
  });
  socket.on('data', (chunk: Buffer) => {
    const octets = rewriter.take(chunk);
    if (octets.length > 0 && !rewritten.push(octets)) socket.pause();
  });
  socket.once('end', () => rewritten.push(null));
  socket.once('close', () => rewritten.destroy());
  socket.on('error', (error) => rewritten.destroy(error));
  return rewritten;
}

/** Follows the frames of a connection; holds a header block back until it is there as a whole. */
class AuthorityRewriter {
  #held: Buffer = Buffer.alloc(0);
  /** Octets that pass before the next frame begins. */
  #passing = PREFACE;

  take(chunk: Buffer): Buffer {
    const octets = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    let at = 0;
    for (;;) {
      const pass = Math.min(this.#passing, octets.length - at);
      at += pass;
      this.#passing -= pass;
      if (this.#passing > 0 || octets.length - at < FRAME_HEADER) break;
      const length = octets.readUIntBE(at, 3);
      const whole = FRAME_HEADER + length;
      if (octets[at + 3] === HEADERS && length <= MOST) {
        if (octets.length - at < whole) break;
        mendBlock(fragmentOf(octets.subarray(at, at + whole)));
      }
      this.#passing = whole;
    }
    this.#held = Buffer.from(octets.subarray(at));
    return octets.subarray(0, at);
  }
}

/** The field block fragment of a HEADERS frame (RFC 9113 §6.2). */
function fragmentOf(frame: Buffer): Buffer {
  const flags = frame[4]!;
  const padded = (flags & PADDED) !== 0;
  const begin = FRAME_HEADER + (padded ? 1 : 0) + ((flags & PRIORITY) !== 0 ? 5 : 0);
  return frame.subarray(begin, frame.length - (padded ? (frame[FRAME_HEADER] ?? 0) : 0));
}

/** Walks the representations of a block (RFC 7541 §6) up to an authority that is spelled out. What is broken stays so. */
function mendBlock(block: Buffer): void {
  let at = 0;
  /** An integer with a prefix of so many bits (§5.1). */
  const integer = (bits: number): number => {
    const most = 2 ** bits - 1;
    let value = block[at++]! & most;
    if (value < most) return value;
    for (let shift = 1; at < block.length; shift *= 128) {
      const octet = block[at++]!;
      value += (octet & 0x7f) * shift;
      if (octet < 0x80) break;
    }
    return value;
  };
  /** A string (§5.2); undefined for one in Huffman's code. */
  const string = (): Buffer | undefined => {
    const coded = (block[at] ?? 0x80) >= 0x80;
    const length = integer(7);
    const value = block.subarray(at, at + length);
    at += length;
    return coded ? undefined : value;
  };
  while (at < block.length) {
    const first = block[at]!;
    if (first >= 0x80) integer(7);
    else if (first >= 0x20 && first < 0x40) integer(5);
    else {
      const name = integer(first >= 0x40 ? 6 : 4);
      const spelled = name === 0 ? string()?.toString('latin1') : undefined;
      const value = string();
      if (name !== AUTHORITY && spelled !== ':authority') continue;
      value?.forEach((octet, index) => {
        if (octet === SLASH) value[index] = DASH;
      });
      return;
    }
  }
}
