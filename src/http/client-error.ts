import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { WritError } from '../base/error.ts';
import type { Reply } from './route.ts';

/** What HTTP itself refused, before there was a request to answer. */
export interface ClientFault {
  readonly error: WritError;
  readonly status: number;
}

/** Reads an error that Node's server reports as `clientError`. */
export function clientFault(error: NodeJS.ErrnoException): ClientFault {
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return {
      status: 408,
      error: new WritError('request_timeout', 'The request did not arrive in time.', {
        remedy: 'Send headers and body without pauses.',
      }),
    };
  }
  if (error.code === 'HPE_HEADER_OVERFLOW' || error.code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') {
    return {
      status: 431,
      error: new WritError('too_large', 'Request line and headers are too large.', {
        remedy: 'Send shorter and fewer headers.',
      }),
    };
  }
  return {
    status: 400,
    error: new WritError('bad_request', 'The request is not well-formed HTTP/1.1.', {
      remedy: 'Use an HTTP/1.1 client, over TLS where the port speaks TLS.',
    }),
  };
}

/** Writes a reply on a connection that has no response object, and ends it. */
export function endWithReply(socket: Duplex, reply: Reply, requestId: string): void {
  const body = typeof reply.body === 'string' ? Buffer.from(reply.body) : reply.body;
  const head = [
    `HTTP/1.1 ${reply.status} ${STATUS_CODES[reply.status] ?? ''}`,
    `Content-Type: ${reply.type ?? 'application/json'}`,
    `Content-Length: ${body.length}`,
    `X-Request-Id: ${requestId}`,
    'Cache-Control: no-store',
    'Connection: close',
  ];
  socket.end(Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`, 'latin1'), body]));
}
