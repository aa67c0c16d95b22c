import type { IncomingHttpHeaders } from 'node:http';
import type { Caller } from '../base/access.ts';
import type { ReplyStream } from './stream.ts';

/** One request as a handler sees it: authenticated, within the limits, its body whole. */
export interface Exchange {
  /** Also in `X-Request-Id` of the answer and in the log. */
  readonly id: string;
  /** `GET` for a `HEAD`. */
  readonly method: string;
  /** The request target as sent: path and query. */
  readonly target: string;
  /** What stands behind `?`, undecoded; empty when there is none. */
  readonly query: string;
  /** Values of the path's parameters, decoded, in the order of the template. */
  readonly params: readonly string[];
  readonly headers: IncomingHttpHeaders;
  /** Empty when the request has no body. */
  readonly body: Uint8Array;
  /** On a public route always `anonymous`. */
  readonly caller: Caller;
  /** For a request that does as much as several: counts so many further ones of its caller, for which those to come wait. */
  readonly charge?: (further: number) => void;
}

export interface Reply {
  readonly status: number;
  /** Media type of the body. Absent: JSON. */
  readonly type?: string;
  readonly body: string | Uint8Array;
  /** Value of `Cache-Control`. Absent: `no-store`. */
  readonly cache?: string;
  /** Strong entity tag with its quotes. A request that names it in `If-None-Match` gets 304 without the body. */
  readonly etag?: string;
  /** Further headers: name, value, name, value. */
  readonly headers?: readonly string[];
  /** Takes over behind the headers, on a route for callers; `body` is not sent then. */
  readonly stream?: (stream: ReplyStream) => void;
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface Route {
  readonly method: Method;
  /**
   * Template like `/v1/agents/{name}/instances`: a parameter is one whole segment, except that it may have a fixed
   * ending, as in `/ca/{id}.cer`. A last parameter `{name...}` takes all that is left, slashes included.
   */
  readonly path: string;
  /** `public` is answered without looking at a certificate; `caller` needs one that is good now. */
  readonly access: 'public' | 'caller';
  /**
   * A request here may supersede the certificate that it is made with. A repeat under its idempotency key is let through
   * with `Caller.superseded`; the handler gives it the first answer or refuses.
   */
  readonly repeats?: boolean;
  /** A node asks here for the workloads that it lets in: of a node such requests have a limit of their own. */
  readonly byNodes?: boolean;
  /** A request here leaves no entry in the ledger, and does not count among those that do. */
  readonly recordsNothing?: boolean;
  /** Largest body in octets. Absent: 64 KiB; a GET takes none. */
  readonly bodyLimit?: number;
  handle(exchange: Exchange): Reply | Promise<Reply>;
}

export const DEFAULT_BODY_LIMIT: number = 64 * 1024;
