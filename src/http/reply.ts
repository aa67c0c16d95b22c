import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Reply } from './route.ts';

const JSON_TYPE = 'application/json';

/**
 * Writes a reply. The answer to a HEAD has no body but the headers of one; `If-None-Match` with the reply's tag gets
 * 304 (RFC 9110 §13.1.2). With `close` the client is told not to come back on this connection.
 */
export function sendReply(
  request: IncomingMessage,
  response: ServerResponse,
  reply: Reply,
  options: { readonly id: string; readonly close: boolean },
): void {
  const unchanged = reply.etag !== undefined && tagsMatch(request.headers['if-none-match'], reply.etag);
  const headers = [
    'X-Request-Id',
    options.id,
    'Cache-Control',
    reply.cache ?? 'no-store',
    // Nothing that Writ answers is to be run or guessed at by a browser.
    'X-Content-Type-Options',
    'nosniff',
  ];
  if (reply.etag !== undefined) headers.push('ETag', reply.etag);
  if (reply.headers !== undefined) headers.push(...reply.headers);
  if (options.close) headers.push('Connection', 'close');
  if (unchanged) {
    response.writeHead(304, headers);
    response.end();
    return;
  }
  if (reply.stream !== undefined) {
    response.writeHead(reply.status, [...headers, 'Content-Type', reply.type ?? JSON_TYPE]);
    if (request.method === 'HEAD') response.end();
    else response.flushHeaders();
    return;
  }
  headers.push('Content-Type', reply.type ?? JSON_TYPE, 'Content-Length', `${Buffer.byteLength(reply.body)}`);
  response.writeHead(reply.status, headers);
  if (request.method === 'HEAD') response.end();
  else response.end(reply.body);
}

function tagsMatch(wanted: string | undefined, tag: string): boolean {
  if (wanted === undefined) return false;
  return wanted === '*' || wanted.split(',').some((one) => one.trim().replace(/^W\//, '') === tag);
}
