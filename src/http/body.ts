import type { IncomingMessage } from 'node:http';
import { WritError } from '../base/error.ts';

const EMPTY = new Uint8Array(0);

/** True when a body follows the headers (RFC 9112 §6.3). */
export function hasBody(request: IncomingMessage): boolean {
  const length = request.headers['content-length'];
  return (length !== undefined && length !== '0') || request.headers['transfer-encoding'] !== undefined;
}

/**
 * Reads the whole body, at most `limit` octets. Throws `too_large` as soon as that is known, from `Content-Length`
 * before anything is read; `unsupported_media_type` for a compressed one; and `bad_request` when it comes in very many
 * small pieces, each of which costs, or the client goes away before the end. How long it may take is the server's
 * `requestTimeout`.
 */
export function readBody(request: IncomingMessage, limit: number): Promise<Uint8Array> {
  if (!hasBody(request)) return Promise.resolve(EMPTY);
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') return Promise.reject(compressed());
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > limit) return Promise.reject(tooLarge(limit));
  return new Promise((resolve, reject) => {
    let body: Uint8Array = EMPTY;
    let length = 0;
    let pieces = 0;
    const refuse = (error: WritError): void => {
      request.pause();
      reject(error);
    };
    request.on('data', (chunk: Buffer) => {
      pieces += 1;
      if (length + chunk.length > limit) return refuse(tooLarge(limit));
      if (pieces > FEWEST + limit / SMALLEST) return refuse(inCrumbs());
      // Copied together as it comes: a list of pieces of one octet would take four hundred times what was sent.
      if (length === 0 && chunk.length === announced) body = chunk;
      else {
        if (length + chunk.length > body.length) body = grown(body, length, length + chunk.length);
        body.set(chunk, length);
      }
      length += chunk.length;
    });
    request.on('end', () => resolve(body.subarray(0, length)));
    request.on('close', () => {
      if (!request.complete) reject(goneAway());
    });
  });
}

/** Octets of an ordinary piece are far more than this, and one small piece at an end is nothing. */
const SMALLEST = 64;
/** Pieces that any body may come in. */
const FEWEST = 256;

/** A longer body with the same beginning. Doubles, so that all copying together is twice the length at most. */
function grown(body: Uint8Array, length: number, needed: number): Uint8Array {
  const longer = new Uint8Array(Math.max(needed, body.length * 2));
  longer.set(body.subarray(0, length));
  return longer;
}

function inCrumbs(): WritError {
  return new WritError('bad_request', 'The body comes in too many small pieces.', {
    remedy: `Send it in pieces of ${SMALLEST} octets or more, best in one.`,
  });
}

function tooLarge(limit: number): WritError {
  return new WritError('too_large', `The body is larger than ${limit} octets.`, {
    remedy: `Send at most ${limit} octets.`,
  });
}

function compressed(): WritError {
  return new WritError('unsupported_media_type', 'The body is compressed.', {
    field: 'Content-Encoding',
    remedy: 'Send the body as it is, without Content-Encoding.',
  });
}

function goneAway(): WritError {
  return new WritError('bad_request', 'The connection ended before the body was whole.', {
    remedy: 'Repeat the request with the same idempotency key.',
  });
}
