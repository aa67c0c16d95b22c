import { type Clock, systemClock } from '../../base/clock.ts';
import { isWritError, WritError } from '../../base/error.ts';
import { AnyIdentity } from './any-identity.ts';
import { BACKDATED_MS, type Credential } from './credential.ts';
import { firstTry, pauseAfter } from './renewal.ts';

/** Where certificates come from. Implemented over HTTPS in `enrolment/authority.ts`. */
export interface Authority {
  /** A new certificate for the holder of `current`, for a new key. */
  renew(current: Credential): Promise<Credential>;
  /** Burns the instance that holds `current` and revokes its certificates. */
  stop(current: Credential, cause: string): Promise<void>;
  close(): void;
  /** `https://host:port`, where there is one. */
  readonly server?: string;
}

export interface IdentityOptions {
  readonly clock?: Clock | undefined;
  /** Milliseconds of a clock that nobody sets. Default: this machine's. */
  readonly steady?: (() => number) | undefined;
  /** The credential was kept, and may be of a while ago. Default: it has just come. */
  readonly kept?: boolean | undefined;
  /** Numbers from 0 to below 1. Default: `Math.random`; jitter is no secret. */
  readonly random?: (() => number) | undefined;
}

/** Timers stand still while a machine sleeps, so a long wait is cut into pieces that look at the clock. */
const LONGEST_WAIT_MS = 30_000;

/**
 * A running instance's identity: key and certificate, renewed at two thirds of its life, handed to TLS.
 *
 * The key is in memory. Timers do not keep the process alive. Close it when done; a closed identity renews no more and
 * its connections live on.
 */
export class Identity extends AnyIdentity {
  readonly #authority: Authority;
  readonly #clock: Clock;
  readonly #steady: () => number;
  readonly #random: () => number;
  /** The authority's time as a certificate showed it last, and what both clocks of this machine said then. */
  #shown: { readonly at: number; readonly wall: number; readonly steady: number };
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #running: Promise<Credential> | undefined;
  #over: Error | undefined;
  #closed = false;

  constructor(credential: Credential, authority: Authority, options: IdentityOptions = {}) {
    super(credential);
    this.#authority = authority;
    this.#clock = options.clock ?? systemClock;
    this.#steady = options.steady ?? (() => performance.now());
    this.#random = options.random ?? Math.random;
    const issued = issuedAt(credential);
    this.#shown = this.#clocksAt(options.kept === true ? Math.max(issued, this.#clock.now()) : issued);
    this.#schedule(firstTry(credential, this.#random));
  }

  /** Where its authority is, `https://host:port`; undefined where that is no server. */
  override get server(): string | undefined {
    return this.#authority.server;
  }

  /** Renews now; calls that overlap share one renewal. Rejects when it fails, and the identity goes on as before. */
  renew(): Promise<Credential> {
    this.#running ??= this.#renewOnce().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /**
   * Stops this instance for good: its id is burnt and its certificates are revoked. For when its work is done or its key
   * may be in other hands (`key_theft`); the causes are those of the REST interface. Then closes. Rejects, and stays open,
   * when the authority did not take it.
   */
  async stop(cause = 'task_completed'): Promise<void> {
    await this.#authority.stop(this.credential, cause);
    this.#over ??= new WritError('revoked', 'The instance was stopped by its own program.');
    this.close();
  }

  close(): void {
    this.#over ??= new WritError('unavailable', 'The identity is closed.', { remedy: 'Connect again.' });
    clearTimeout(this.#timer);
    this.release();
    this.#authority.close();
    if (!this.#closed) this.emit('closed', this.#over);
    this.#closed = true;
  }

  async #renewOnce(): Promise<Credential> {
    if (this.#over !== undefined) throw this.#over;
    let next: Credential;
    try {
      next = await this.#authority.renew(this.credential);
    } catch (error) {
      if (isWritError(error, 'revoked')) this.#end(error);
      throw error;
    }
    // Closed or ended while the answer was under way.
    if (this.#over !== undefined) throw this.#over;
    this.#failures = 0;
    this.#shown = this.#clocksAt(issuedAt(next));
    this.use(next);
    this.#schedule(firstTry(next, this.#random));
    return next;
  }

  /**
   * The authority's time, as far as it is known: by it alone, no renewal waits for a wrong clock, or one that was set back, or
   * runs in circles. By the clock that has gone further, since the steady one stands still while the machine sleeps.
   */
  #now(): number {
    return this.#shown.at + Math.max(...this.#passed());
  }

  #passed(): readonly [number, number] {
    return [this.#clock.now() - this.#shown.wall, this.#steady() - this.#shown.steady];
  }

  #clocksAt(at: number): { readonly at: number; readonly wall: number; readonly steady: number } {
    return { at, wall: this.#clock.now(), steady: this.#steady() };
  }

  #schedule(at: number): void {
    clearTimeout(this.#timer);
    if (this.#over !== undefined) return;
    const wait = Math.max(0, at - this.#now());
    this.#timer = setTimeout(
      () => {
        if (this.#now() < at) this.#schedule(at);
        else this.renew().catch((error: Error) => this.#afterFailure(error));
      },
      Math.min(LONGEST_WAIT_MS, wait),
    );
    this.#timer.unref();
  }

  #afterFailure(error: Error): void {
    if (this.#over !== undefined) return;
    const { notAfter } = this.credential;
    const left = notAfter - this.#now();
    // A clock that was set ends nothing by itself: the other says so, too, or the authority does.
    const isOver = notAfter - (this.#shown.at + Math.min(...this.#passed())) <= 0;
    if (isOver || (left <= 0 && isWritError(error, 'not_authenticated'))) {
      this.#end(error);
      return;
    }
    this.#failures += 1;
    const pause = pauseAfter(this.#failures, left > 0 ? left : Number.POSITIVE_INFINITY, this.#random);
    this.#schedule(this.#now() + pause);
    this.emit('failed', error);
  }

  #end(error: Error): void {
    if (this.#over !== undefined) return;
    this.#over = error;
    clearTimeout(this.#timer);
    this.emit('ended', error);
  }
}

/** By the authority's clock. */
function issuedAt({ notBefore }: Credential): number {
  return notBefore + BACKDATED_MS;
}
