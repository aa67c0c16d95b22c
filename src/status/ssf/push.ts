import { type OutboundOptions, outbound } from '../../http/outbound.ts';
import { RECEIVER_NETWORKS } from './receiver-url.ts';

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

const LARGEST_ANSWER = 16 * 1024;

/**
 * RFC 8935 §2.4: faults of this very token. The others are for somebody to mend, and then it is taken; `invalid_key` is
 * mended by fetching the key set, since each attempt is signed anew.
 */
const FINAL: ReadonlySet<string> = new Set(['invalid_request', 'invalid_issuer', 'invalid_audience', 'invalid_state']);

/** Delivers as RFC 8935 §2 says: one SET a POST, 202 for taken. Little is read of the answer. Throws as `outbound` does. */
export function pusher(options: OutboundOptions): Push {
  const send = outbound({ ...options, largest: LARGEST_ANSWER }, RECEIVER_NETWORKS);
  return async ({ endpoint, authorization, token, signal }) => {
    const answer = await send(endpoint, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/secevent+jwt',
        ...(authorization === undefined ? {} : { Authorization: authorization }),
      },
      body: token,
      ...(signal === undefined ? {} : { signal }),
    });
    if (answer.reached) return judge(answer.status, Buffer.from(answer.body).toString('utf8'));
    switch (answer.fault) {
      case 'url':
        return { outcome: 'again', fault: 'The endpoint is not allowed any more.' };
      case 'silent':
        return { outcome: 'again', fault: 'No answer in time.' };
      case 'large':
        return judge(answer.status!, '');
      case 'broken':
        return { outcome: 'again', fault: `No connection (${answer.code ?? 'error'}).` };
    }
  };
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
