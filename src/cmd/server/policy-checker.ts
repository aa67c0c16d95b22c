import { Worker } from 'node:worker_threads';
import { WritError } from '../../base/error.ts';
import type { Finding } from '../../policy/cedar.ts';
import { sibling } from './sibling.ts';

export interface CheckerLimits {
  /** Milliseconds that one text may take; the thread is ended then. */
  readonly time: number;
  /** Texts that may wait. */
  readonly waiting: number;
  /** Milliseconds that the thread, of about 60 MB, is kept without work. */
  readonly idle: number;
}

const LIMITS: CheckerLimits = { time: 5000, waiting: 4, idle: 10_000 };

/**
 * Checks policy sets in a thread of its own, one after the other. Cedar takes up to half a second for the largest set,
 * and a request thread answers nobody meanwhile. The thread is there only while it is needed and holds up no exit.
 */
export class PolicyChecker {
  readonly #limits: CheckerLimits;
  #thread: Worker | undefined;
  #idle: NodeJS.Timeout | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(limits: Partial<CheckerLimits> = {}) {
    this.#limits = { ...LIMITS, ...limits };
  }

  /** As `checkPolicy` of `policy/`. Throws `unavailable` when too many are waiting. */
  async check(text: string): Promise<readonly Finding[]> {
    if (this.#waiting >= this.#limits.waiting) {
      throw new WritError('unavailable', 'Too many policy sets are being checked at once.', {
        remedy: 'Try again after the time in Retry-After.',
      });
    }
    this.#waiting += 1;
    const turn = this.#queue.then(() => this.#checkNow(text));
    this.#queue = turn.catch(() => undefined);
    try {
      return await turn;
    } finally {
      this.#waiting -= 1;
    }
  }

  async #checkNow(text: string): Promise<readonly Finding[]> {
    clearTimeout(this.#idle);
    this.#thread ??= new Worker(sibling(import.meta.url, 'policy-thread'), { name: 'policy-thread' });
    const thread = this.#thread;
    const findings = await new Promise<readonly Finding[] | undefined>((resolve) => {
      const late = setTimeout(() => resolve(undefined), this.#limits.time);
      const end = (found: readonly Finding[] | undefined): void => {
        clearTimeout(late);
        resolve(found);
      };
      thread.removeAllListeners().once('message', end);
      thread.once('error', () => end(undefined)).once('exit', () => end(undefined));
      thread.postMessage(text);
    });
    if (findings === undefined) {
      this.#thread = undefined;
      thread.removeAllListeners().on('error', () => undefined);
      await thread.terminate();
      const message = 'the policy set takes too long to check; say it in fewer or simpler rules';
      return [{ severity: 'error', message, line: 1, column: 1 }];
    }
    thread.unref();
    this.#idle = setTimeout(() => this.#rest(), this.#limits.idle);
    this.#idle.unref();
    return findings;
  }

  #rest(): void {
    const thread = this.#thread;
    this.#thread = undefined;
    void thread?.terminate();
  }
}
