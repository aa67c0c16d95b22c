import { Agent, request } from 'node:https';
import type { ConnectionOptions } from 'node:tls';

/** What one call came to. */
export interface Called {
  /**
   * `accepted`: answered with a status below 400. `refused`: by an answer for clients (4xx), by TLS, or by a connection that
   * was closed. `none`: neither, e.g. nobody listens, no answer in time, 5xx.
   */
  readonly outcome: 'accepted' | 'refused' | 'none';
  /** E.g. `status 403`, `ECONNREFUSED`: letters, digits, blanks and underscores. */
  readonly detail: string;
  /** By `performance.now()`: when it was sent, and when that much was known. */
  readonly begun: number;
  readonly ended: number;
  /** Over a connection that an earlier call had used. */
  readonly reused: boolean;
}

export interface LineOptions {
  readonly url: string;
  readonly tls: ConnectionOptions;
  /** One connection for all calls, as long as the other side lets it live; else a new one for each. */
  readonly kept: boolean;
}

const CALL_MS = 1000;
/** Statuses of clients' faults that say nothing of who calls. */
const PASSING: ReadonlySet<number> = new Set([408, 425, 429]);
/** How a connection ends that the other side does not want. */
const CLOSED: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED']);
/** TLS alerts about the certificate that was shown (RFC 8446 §6.2): bad … unknown, unknown CA, access denied, required. */
const ALERTS: ReadonlySet<number> = new Set([42, 43, 44, 45, 46, 48, 49, 116]);

/** Calls one URL with one identity, one call at a time. */
export class Line {
  readonly #url: string;
  readonly #agent: Agent;

  constructor({ url, tls, kept }: LineOptions) {
    this.#url = url;
    this.#agent = new Agent({
      ...tls,
      // Nothing worth hiding is said, and many points in the field know no later one.
      minVersion: 'TLSv1.2',
      keepAlive: kept,
      ...(kept ? { maxSockets: 1, maxFreeSockets: 1 } : {}),
      // A resumed session would skip what is measured.
      maxCachedSessions: 0,
    });
  }

  /** Never rejects. */
  call(): Promise<Called> {
    const begun = performance.now();
    return new Promise((resolve) => {
      const over = (outcome: Called['outcome'], detail: string): void =>
        resolve({ outcome, detail, begun, ended: performance.now(), reused: sent.reusedSocket });
      const deadline = AbortSignal.timeout(CALL_MS);
      const sent = request(this.#url, { agent: this.#agent, signal: deadline }, (answer) => {
        const status = answer.statusCode ?? 0;
        const refused = status >= 400 && status < 500 && !PASSING.has(status);
        over(status < 400 ? 'accepted' : refused ? 'refused' : 'none', `status ${status}`);
        answer.on('error', () => undefined);
        answer.resume();
      });
      sent.on('error', (error: NodeJS.ErrnoException) => {
        const alert = /SSL alert number (\d+)/.exec(error.message)?.[1];
        const detail = alert === undefined ? (error.code ?? error.name) : `TLS alert ${alert}`;
        if (deadline.aborted) over('none', 'no answer');
        else if (CLOSED.has(detail) || ALERTS.has(Number(alert))) over('refused', detail);
        else over('none', detail.replace(/\W/g, ' ').slice(0, 80));
      });
      sent.end();
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
