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
 * before anything is read; `unsupported_media_type` for a compressed one; and `bad_request` when the client goes away
 * before the end. How long it may take is the server's `requestTimeout`.
 */
export function readBody(request: IncomingMessage, limit: number): Promise<Uint8Array> {
  if (!hasBody(request)) return Promise.resolve(EMPTY);
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') return Promise.reject(compressed());
  if (Number(request.headers['content-length'] ?? 0) > limit) return Promise.reject(tooLarge(limit));
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= limit) chunks.push(chunk);
      else {
        request.pause();
        reject(tooLarge(limit));
      }
    });
    request.on('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, length)));
    request.on('close', () => {
      if (!request.complete) reject(goneAway());
    });
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
