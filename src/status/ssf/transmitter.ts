import type { Log } from '../../base/log.ts';
import { type Batch, newBatch } from '../../db/batch.ts';
import type { SecretBox } from '../../keys/secret-box.ts';
import { type FanOutParts, fanOut } from './fan-out.ts';
import type { Push, Pushed } from './push.ts';
import { pushDead, pushDelivered, pushPostponed, type QueuedSet, type SetClaims, waitingSets } from './queue.ts';
import { listStreams, type Stream } from './stream.ts';

export interface TransmitterParts extends FanOutParts {
  /** Names this process among those that share the database. */
  readonly process: string;
  readonly sign: (claims: SetClaims) => Promise<string>;
  readonly push: Push;
  readonly box: SecretBox;
  readonly log: Log;
}

/** How long a process that has gone silent keeps the others from taking over, in milliseconds. */
const LEASE_MS = 10_000;
/** Whoever holds the row sends nothing so long before another may take over: clocks of machines differ a little. */
const MARGIN_MS = 1000;
/** SETs of one stream between two looks at it. */
const SETS_A_TURN = 20;
/** After the first failure; each further one doubles it. */
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 300_000;
/** What could not be delivered for so long is dead. */
export const DEAD_AFTER_MS: number = 24 * 60 * 60 * 1000;

/**
 * Tells receivers of stops. Of all processes that share the database one does it: who holds the row `signal_work`, and it
 * begins and continues no push once its time there is over. A process that dies between a receiver's answer and the record
 * of it makes the next one send that SET again, under the same `jti`; none is lost, since what was taken is taken out only
 * after the receiver said so.
 */
export class Transmitter {
  readonly #parts: TransmitterParts;
  readonly #pushing = new Map<string, Promise<void>>();
  #turn: Promise<void> | undefined;
  readonly #ending = new AbortController();
  /** Until when this process may push, milliseconds by its own clock. */
  #heldUntil = Number.NEGATIVE_INFINITY;
  /** Aborted when that is over. */
  #holding = new AbortController();
  #over: NodeJS.Timeout | undefined;

  constructor(parts: TransmitterParts) {
    this.#parts = parts;
  }

  /** Takes over what is new and begins to push what is due. Never rejects; a call while one is at work joins it. */
  turn(): Promise<void> {
    this.#turn ??= this.#once()
      .catch((error: unknown) => this.#parts.log.error('signals not sent', { error: (error as Error).message }))
      .finally(() => {
        this.#turn = undefined;
      });
    return this.#turn;
  }

  /** Resolves when nothing is being pushed. */
  async idle(): Promise<void> {
    await this.#turn;
    while (this.#pushing.size > 0) await Promise.all(this.#pushing.values());
  }

  /** Breaks off what is under way, which is pushed again by whoever goes on, and lets another process take over. */
  async end(): Promise<void> {
    this.#ending.abort();
    await this.idle();
    clearTimeout(this.#over);
    const batch = newBatch();
    const { process, commit } = this.#parts;
    batch.checks.push(heldBy(process));
    batch.writes.push({ sql: "UPDATE signal_work SET holder = '', held_until = 0 WHERE id = 1", params: [] });
    await commit(batch).catch(() => undefined);
  }

  async #once(): Promise<void> {
    const { reader, log } = this.#parts;
    if (this.#ending.signal.aborted || (await listStreams(reader)).length === 0 || !(await this.#hold())) return;
    await fanOut(this.#parts);
    for (const stream of await listStreams(reader)) {
      if (stream.method !== 'push' || this.#pushing.has(stream.id)) continue;
      const work = this.#pushAll(stream)
        .catch((error: unknown) =>
          log.error('stream stands still', { stream: stream.id, error: (error as Error).message }),
        )
        .finally(() => this.#pushing.delete(stream.id));
      this.#pushing.set(stream.id, work);
    }
  }

  /** Holds the row, or goes on holding it. False while another process does. */
  async #hold(): Promise<boolean> {
    const { reader, commit, now, process } = this.#parts;
    const row = await reader.get('SELECT holder, held_until FROM signal_work WHERE id = 1');
    const holder = row?.['holder'] as string;
    const until = row?.['held_until'] as number;
    const at = now();
    if (holder === process && until - at > LEASE_MS / 2) return this.#mayPushUntil(until);
    if (holder !== process && until > at) return false;
    const batch = newBatch();
    batch.checks.push({
      sql: 'SELECT 1 AS found FROM signal_work WHERE id = 1 AND holder = ? AND held_until = ?',
      params: [holder, until],
      want: 'present',
      refusal: 'conflict',
      reason: 'Another process sends signals.',
    });
    batch.writes.push({
      sql: 'UPDATE signal_work SET holder = ?, held_until = ? WHERE id = 1',
      params: [process, at + LEASE_MS],
    });
    return (await commit(batch)).committed && this.#mayPushUntil(at + LEASE_MS);
  }

  /** What is being pushed when that time is over, because nothing prolonged it, is broken off. */
  #mayPushUntil(until: number): true {
    this.#heldUntil = until - MARGIN_MS;
    if (this.#holding.signal.aborted) this.#holding = new AbortController();
    clearTimeout(this.#over);
    this.#over = setTimeout(() => this.#holding.abort(), this.#heldUntil - this.#parts.now()).unref();
    return true;
  }

  /** Whether this process must push no further: it ends, or another may have taken over. */
  #mustStop(): boolean {
    return this.#ending.signal.aborted || this.#holding.signal.aborted || this.#parts.now() >= this.#heldUntil;
  }

  /** Pushes what is due of one stream, in order: a SET that is to be tried again holds up those behind it. */
  async #pushAll(stream: Stream): Promise<void> {
    const { reader, now } = this.#parts;
    for (;;) {
      const sets = await waitingSets(reader, stream, SETS_A_TURN);
      const batch = newBatch();
      const taken: string[] = [];
      let goOn = sets.length === SETS_A_TURN;
      for (const set of sets) {
        if (this.#mustStop() || set.nextAt > now()) {
          goOn = false;
          break;
        }
        const pushed = await this.#pushOne(stream, set);
        if (pushed.outcome !== 'delivered' && this.#mustStop()) {
          goOn = false;
          break;
        }
        if (pushed.outcome === 'delivered') {
          taken.push(set.jti);
        } else if (!this.#failed(batch, set, pushed)) {
          goOn = false;
          break;
        }
      }
      pushDelivered(batch, stream.id, taken, now());
      if (batch.writes.length > 0) await this.#parts.commit(batch);
      if (!goOn || !(await this.#isStill(stream))) return;
    }
  }

  /** A stream that its owner changed meanwhile is begun anew, as it is now. */
  async #isStill({ id, version }: Stream): Promise<boolean> {
    const { reader } = this.#parts;
    return (
      (await reader.get('SELECT 1 AS found FROM signal_stream WHERE id = ? AND version = ?', [id, version])) !==
      undefined
    );
  }

  async #pushOne(stream: Stream, { claims }: QueuedSet): Promise<Pushed> {
    const { sign, push, box } = this.#parts;
    const authorization = stream.authorization === undefined ? undefined : box.open(stream.id, stream.authorization);
    if (stream.authorization !== undefined && authorization === undefined) {
      return { outcome: 'again', fault: 'The Authorization header of this stream cannot be opened; set it again.' };
    }
    const token = await sign(claims);
    return push({
      endpoint: stream.endpoint!,
      token,
      signal: AbortSignal.any([this.#ending.signal, this.#holding.signal]),
      ...(authorization === undefined ? {} : { authorization }),
    });
  }

  /** Pushes what becomes of a SET that was not taken. True when it is out of the way of the next. */
  #failed(batch: Batch, set: QueuedSet, { outcome, fault }: Exclude<Pushed, { outcome: 'delivered' }>): boolean {
    const { now, log } = this.#parts;
    const at = now();
    if (outcome === 'refused' || at - set.createdAt >= DEAD_AFTER_MS) {
      pushDead(batch, set.stream, set.jti, fault);
      log.warn('signal not deliverable', { stream: set.stream, jti: set.jti, fault });
      return true;
    }
    pushPostponed(batch, set, at + pauseAfter(set.attempts), fault);
    return false;
  }
}

/** Milliseconds until the next attempt, after so many before this one: doubling, with jitter upwards. */
export function pauseAfter(attempts: number): number {
  const pause = Math.min(FIRST_PAUSE_MS * 2 ** Math.min(attempts, 20), LONGEST_PAUSE_MS);
  return Math.round(pause * (1 + Math.random() / 4));
}

function heldBy(process: string): Batch['checks'][number] {
  return {
    sql: 'SELECT 1 AS found FROM signal_work WHERE id = 1 AND holder = ?',
    params: [process],
    want: 'present',
    refusal: 'conflict',
    reason: 'Another process sends signals.',
  };
}
