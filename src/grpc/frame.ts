import { WritError } from '../base/error.ts';

/** Octets before each message: whether it is compressed, and its length (gRPC over HTTP/2, "Length-Prefixed-Message"). */
const PREFIX = 5;

/** A message as it stands in the body of a call. */
export function encodeFrame(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(PREFIX + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, PREFIX);
  return frame;
}

/** Cuts a body into its messages. Keeps no more than one message that is not whole yet. */
export class FrameReader {
  readonly #limit: number;
  #parts: Uint8Array[] = [];
  #held = 0;
  /** Octets that have to be there before anything can be cut. */
  #wanted = PREFIX;

  /** `limit`: octets of the largest message. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Takes a piece of the body; gives the messages that it completes. Throws `too_large` and `bad_request`. */
  push(piece: Uint8Array): Uint8Array[] {
    this.#parts.push(piece);
    this.#held += piece.length;
    const messages: Uint8Array[] = [];
    if (this.#held < this.#wanted) return messages;
    let whole = this.#parts.length === 1 ? Buffer.from(piece.buffer, piece.byteOffset, piece.length) : this.#joined();
    while (whole.length >= PREFIX) {
      const end = PREFIX + this.#length(whole);
      if (whole.length < end) break;
      messages.push(whole.subarray(PREFIX, end));
      whole = whole.subarray(end);
    }
    this.#parts = whole.length === 0 ? [] : [whole];
    this.#held = whole.length;
    this.#wanted = whole.length < PREFIX ? PREFIX : PREFIX + this.#length(whole);
    return messages;
  }

  /** To be called at the end of the body. Throws `bad_request` where it ends within a message. */
  end(): void {
    if (this.#held > 0) throw malformed('ends within a message');
  }

  #joined(): Buffer {
    return Buffer.concat(this.#parts, this.#held);
  }

  #length(at: Buffer): number {
    // No encoding was agreed upon, so nothing may be compressed.
    if (at[0] !== 0) throw malformed('has a message that is marked as compressed');
    const length = at.readUInt32BE(1);
    if (length <= this.#limit) return length;
    throw new WritError('too_large', 'A message is larger than this side takes.', {
      remedy: `Send at most ${this.#limit} octets in one.`,
    });
  }
}

function malformed(fault: string): WritError {
  return new WritError('bad_request', `The body of the call ${fault}.`, {
    remedy: 'Send messages as gRPC over HTTP/2 frames them, without compression.',
  });
}
