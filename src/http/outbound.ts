import { lookup } from 'node:dns';
import { type ClientRequest, request as httpRequest, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { rootCertificates } from 'node:tls';
import { addressRule, guardedLookup, hostOf, type OutboundRules, parseOutboundUrl } from './outbound-address.ts';

interface OutboundRequest {
  /** Default `GET`. */
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as it is. */
  readonly body?: string;
  /** PEM of roots that the server's chain must lead to, in place of those that everybody trusts. */
  readonly ca?: readonly string[];
  /** Ends the request, which is then as broken. */
  readonly signal?: AbortSignal;
}

export type OutboundAnswer =
  | {
      readonly reached: true;
      readonly status: number;
      readonly body: Uint8Array;
      /** Seconds for which the answer may be kept, where it says so. */
      readonly maxAge?: number;
    }
  | {
      readonly reached: false;
      /** `url`: no request may go there; `silent`: no answer in time; `large`: more than is read; `broken`: all else. */
      readonly fault: 'url' | 'silent' | 'large' | 'broken';
      /** Where an answer had begun. */
      readonly status?: number;
      /** The system's or TLS's word for what broke, e.g. `ECONNREFUSED`. */
      readonly code?: string;
    };

/** One request to somebody else's server, with everything about it bounded. Never rejects. */
export type Outbound = (url: string, request?: OutboundRequest) => Promise<OutboundAnswer>;

export interface OutboundOptions extends OutboundRules {
  /** PEM of roots of one's own, beside those that everybody trusts. */
  readonly roots?: readonly string[];
  /** Milliseconds from connecting to the last octet. Default 10 000. */
  readonly timeout?: number;
  /** Octets of the largest answer that is read. Default 256 KiB. */
  readonly largest?: number;
  /** How names are resolved. Default: as the system does. */
  readonly resolve?: LookupFunction;
}

const TIMEOUT_MS = 10_000;
const LARGEST_ANSWER = 256 * 1024;

/**
 * Requests over TLS 1.2 or later to public addresses and those that are allowed besides, looked at when connecting. No
 * redirect is followed, no connection kept, no proxy used, no compressed answer taken. Throws `bad_config` for a network
 * that is none; `field` is where the networks stand.
 */
export function outbound(options: OutboundOptions, field: string): Outbound {
  const allowed = addressRule(options, field);
  const resolve = guardedLookup(options.resolve ?? (lookup as LookupFunction), allowed);
  const usual = options.roots === undefined ? undefined : [...rootCertificates, ...options.roots];
  return (text, asked = {}) =>
    new Promise((settle) => {
      const url = parseOutboundUrl(text, options, allowed);
      if (typeof url === 'string') return settle({ reached: false, fault: 'url' });
      const host = hostOf(url);
      const deadline = AbortSignal.timeout(options.timeout ?? TIMEOUT_MS);
      const ca = asked.ca ?? usual;
      const common: RequestOptions = {
        method: asked.method ?? 'GET',
        host,
        port: url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port,
        path: `${url.pathname}${url.search}`,
        lookup: resolve,
        agent: false,
        signal: asked.signal === undefined ? deadline : AbortSignal.any([deadline, asked.signal]),
        headers: {
          Host: url.host,
          Accept: 'application/json',
          ...(asked.body === undefined ? {} : { 'Content-Length': Buffer.byteLength(asked.body) }),
          ...asked.headers,
        },
      };
      const fail = (error?: NodeJS.ErrnoException): void => {
        const code = error?.code === undefined ? {} : { code: error.code };
        settle({ reached: false, ...(deadline.aborted ? { fault: 'silent' } : { fault: 'broken', ...code }) });
      };
      let sent: ClientRequest;
      try {
        sent =
          url.protocol === 'http:'
            ? httpRequest(common)
            : httpsRequest({
                ...common,
                minVersion: 'TLSv1.2',
                ...(isIP(host) === 0 ? { servername: host } : {}),
                ...(ca === undefined ? {} : { ca: [...ca] }),
              });
      } catch (error) {
        return fail(error as NodeJS.ErrnoException);
      }
      sent.on('error', fail);
      sent.on('response', (answer) => {
        const largest = options.largest ?? LARGEST_ANSWER;
        const chunks: Buffer[] = [];
        let length = 0;
        answer.on('error', fail);
        answer.on('data', (chunk: Buffer) => {
          length += chunk.length;
          chunks.push(chunk);
          if (length <= largest) return;
          settle({ reached: false, fault: 'large', status: answer.statusCode! });
          answer.destroy();
        });
        answer.on('end', () => {
          const maxAge = maxAgeOf(answer.headers['cache-control']);
          const kept = maxAge === undefined ? {} : { maxAge };
          settle({ reached: true, status: answer.statusCode!, body: Buffer.concat(chunks, length), ...kept });
        });
        // An answer that breaks off has no end.
        answer.on('close', () => fail());
      });
      sent.end(asked.body);
    });
}

/** Seconds of `max-age` (RFC 9111 §5.2.2.1); 0 where the answer may not be kept at all. */
function maxAgeOf(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  if (/(?:^|,)\s*no-(?:store|cache)\s*(?:,|$)/i.test(header)) return 0;
  const seconds = /(?:^|,)\s*max-age=(\d{1,9})\s*(?:,|$)/i.exec(header)?.[1];
  return seconds === undefined ? undefined : Number(seconds);
}
