import { lookup } from 'node:dns';
import { type ClientRequest, request as httpRequest, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { rootCertificates } from 'node:tls';
import { guardedLookup, hostOf } from '../../http/outbound-address.ts';
import { parseReceiverUrl, type ReceiverRules, receiverAddressRule } from './receiver-url.ts';

/** How one attempt to push a SET ended. */
export type Pushed =
  | { readonly outcome: 'delivered' }
  /** The receiver may take it later. */
  | { readonly outcome: 'again'; readonly fault: string }
  /** The receiver says that it will never take this one. */
  | { readonly outcome: 'refused'; readonly fault: string };

/** Pushes one SET. Never throws. */
export type Push = (to: {
  readonly endpoint: string;
  readonly authorization?: string;
  readonly token: string;
  /** Ends the attempt, which counts as one that has to be made again. */
  readonly signal?: AbortSignal;
}) => Promise<Pushed>;

export interface PushOptions extends ReceiverRules {
  /** PEM of roots of one's own, beside those that everybody trusts. */
  readonly roots?: readonly string[];
  /** Milliseconds from connecting to the last octet. Default 10 000. */
  readonly timeout?: number;
  /** How names are resolved. Default: as the system does. */
  readonly resolve?: LookupFunction;
}

const TIMEOUT_MS = 10_000;
const LARGEST_ANSWER = 16 * 1024;

/**
 * RFC 8935 §2.4: faults of this very token. The others are for somebody to mend, and then it is taken; `invalid_key` is
 * mended by fetching the key set, since each attempt is signed anew.
 */
const FINAL: ReadonlySet<string> = new Set(['invalid_request', 'invalid_issuer', 'invalid_audience', 'invalid_state']);

/**
 * Delivers as RFC 8935 §2 says: one SET a POST, 202 for taken. No redirect is followed, nothing is sent to an address
 * that receivers may not have (looked at when connecting), and little is read of the answer.
 */
export function pusher(options: PushOptions): Push {
  const allowed = receiverAddressRule(options);
  const resolve = guardedLookup(options.resolve ?? (lookup as LookupFunction), allowed);
  const ca = options.roots === undefined ? undefined : [...rootCertificates, ...options.roots];
  return ({ endpoint, authorization, token, signal: ended }) =>
    new Promise((settle) => {
      let url: URL;
      try {
        url = parseReceiverUrl(endpoint, options, allowed);
      } catch {
        return settle({ outcome: 'again', fault: 'The endpoint is not allowed any more.' });
      }
      const deadline = AbortSignal.timeout(options.timeout ?? TIMEOUT_MS);
      const signal = ended === undefined ? deadline : AbortSignal.any([deadline, ended]);
      const host = hostOf(url);
      const common: RequestOptions = {
        method: 'POST',
        host,
        port: url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port,
        path: `${url.pathname}${url.search}`,
        lookup: resolve,
        agent: false,
        signal,
        headers: {
          Host: url.host,
          'Content-Type': 'application/secevent+jwt',
          Accept: 'application/json',
          'Content-Length': Buffer.byteLength(token),
          ...(authorization === undefined ? {} : { Authorization: authorization }),
        },
      };
      const fail = (error: NodeJS.ErrnoException): void =>
        settle({
          outcome: 'again',
          fault: deadline.aborted ? 'No answer in time.' : `No connection (${error.code ?? 'error'}).`,
        });
      let sent: ClientRequest;
      try {
        sent =
          url.protocol === 'http:'
            ? httpRequest(common)
            : httpsRequest({
                ...common,
                minVersion: 'TLSv1.2',
                ...(isIP(host) === 0 ? { servername: host } : {}),
                ...(ca === undefined ? {} : { ca }),
              });
      } catch (error) {
        return fail(error as NodeJS.ErrnoException);
      }
      sent.on('error', fail);
      sent.on('response', (answer) => {
        const status = answer.statusCode ?? 0;
        let text = '';
        answer.setEncoding('utf8');
        answer.on('error', fail);
        answer.on('data', (chunk: string) => {
          text += chunk;
          if (text.length > LARGEST_ANSWER) answer.destroy();
        });
        answer.on('close', () => settle(judge(status, text)));
      });
      sent.end(token);
    });
}

/** RFC 8935 §2.2 to §2.4. 200 and 204 are taken for 202, since many receivers answer so. */
export function judge(status: number, text: string): Pushed {
  if (status === 202 || status === 200 || status === 204) return { outcome: 'delivered' };
  const err = status === 400 ? errorIn(text) : undefined;
  if (err !== undefined && FINAL.has(err)) return { outcome: 'refused', fault: `The receiver said ${err}.` };
  return { outcome: 'again', fault: `The receiver answered ${status}${err === undefined ? '' : ` ${err}`}.` };
}

/** The code alone: the description is the receiver's text, which nobody here has checked. */
function errorIn(text: string): string | undefined {
  try {
    const { err } = JSON.parse(text) as { err?: unknown };
    return typeof err === 'string' && /^[a-z_]{1,64}$/.test(err) ? err : undefined;
  } catch {
    return undefined;
  }
}
