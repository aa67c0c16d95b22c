import type { Caller } from '../base/access.ts';
import type { Clock } from '../base/clock.ts';
import type { ErrorCode } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import { type CommitBatch, type JsonValue, type LedgerEvent, newBatch } from '../db/batch.ts';

/** One refusal, as a flow reports it. */
export interface Refusal {
  readonly type: 'certificate.refused' | 'key.reuse_refused' | 'token.refused' | 'evidence.refused' | 'access.refused';
  /**
   * Who was refused: `Caller.id`, `token:<id>` of a join token that was good, or `attestor:<name>` whose evidence it was
   * meant to be. Undefined when nothing about the asker is proven; then only the type and the code are counted.
   */
  readonly by: string | undefined;
  /** A word of a closed list by which refusals of one code are told apart, e.g. why evidence was not believed. */
  readonly fault?: string;
  readonly code: ErrorCode;
  /** What the refusal is about, for `writ trace`. */
  readonly subjects: readonly string[];
  /** What else is known: flow, profile, rules, reasons. Never anything that an unidentified asker chose. */
  readonly body: { readonly [key: string]: JsonValue };
}

/** Where flows report. Never throws; resolves when what is to be recorded at once is durable. */
export type RecordRefusal = (refusal: Refusal) => Promise<void>;

/** How long refusals of one kind by one caller are gathered after the first. */
export const WINDOW_MS = 60_000;

/** How many kinds of refusal by one caller are told apart in a window. */
export const KINDS_APART = 1024;

interface Tally {
  readonly type: Refusal['type'];
  readonly by: string;
  readonly fault?: string;
  readonly code: ErrorCode;
  readonly subjects: readonly string[];
  readonly since: number;
  count: number;
}

/**
 * Puts refusals on record without letting anybody flood it. The first of its kind by an identified caller becomes an
 * entry at once, more within the window become one entry with their number when the window is over; of callers without
 * identity all are only counted. So the number of entries a window is at most `KINDS_APART` and as many first ones,
 * whatever anybody sends.
 *
 * One for each request thread. Its owner calls `flush` when a window may be over, and at the end.
 */
export class RefusalLog {
  readonly #commit: CommitBatch;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #tallies = new Map<string, Tally>();

  constructor(commit: CommitBatch, clock: Clock, log: Log) {
    this.#commit = commit;
    this.#clock = clock;
    this.#log = log;
  }

  readonly record: RecordRefusal = async (refusal) => {
    const { type, by, code, fault } = refusal;
    const known = this.#tallies.get(
      keyOf({ type, code, by: by ?? 'anonymous', ...(by === undefined ? {} : saying(fault)) }),
    );
    if (known !== undefined) known.count += 1;
    else if (by === undefined) this.#open(refusal, 'anonymous').count = 1;
    else if (this.#tallies.size >= KINDS_APART) this.#others(refusal).count += 1;
    else {
      this.#open(refusal, by);
      const body = { ...refusal.body, caller: by, code, ...saying(fault) };
      await this.#write([{ type, subjects: refusal.subjects, body }]);
    }
  };

  /** Records what was counted in windows that are over; with `all`, in every window. */
  async flush(all = false): Promise<void> {
    const now = this.#clock.now();
    const events: LedgerEvent[] = [];
    for (const [key, { type, by, code, fault, subjects, since, count }] of this.#tallies) {
      if (!all && now - since < WINDOW_MS && now >= since) continue;
      this.#tallies.delete(key);
      if (count === 0) continue;
      const body = { caller: by, code, ...saying(fault), count, since: new Date(since).toISOString() };
      events.push({ type, subjects, body });
    }
    if (events.length > 0) await this.#write(events);
  }

  /** Beyond the limit callers share one tally for each kind; their number is that of the two closed lists. */
  #others(refusal: Refusal): Tally {
    const { type, code } = refusal;
    return this.#tallies.get(keyOf({ type, code, by: 'others' })) ?? this.#open(refusal, 'others');
  }

  #open({ type, code, fault, subjects }: Refusal, by: string): Tally {
    const named = by !== 'anonymous' && by !== 'others';
    const apart = named ? { subjects, ...saying(fault) } : { subjects: [] };
    const tally: Tally = { type, by, code, ...apart, since: this.#clock.now(), count: 0 };
    this.#tallies.set(keyOf(tally), tally);
    return tally;
  }

  async #write(events: readonly LedgerEvent[]): Promise<void> {
    const batch = newBatch();
    batch.events.push(...events);
    try {
      await this.#commit(batch);
    } catch (error) {
      // The refusal stands, recorded or not; a ledger that cannot be written shows in every other answer.
      this.#log.warn('refusal not recorded', {
        events: events.length,
        error: error instanceof Error ? error.name : '',
      });
    }
  }
}

function keyOf({ type, code, by, fault = '' }: Pick<Tally, 'type' | 'code' | 'by' | 'fault'>): string {
  return `${type} ${code} ${by} ${fault}`;
}

function saying(fault: string | undefined): { readonly fault?: string } {
  return fault === undefined ? {} : { fault };
}

/** Who is on record as refused: nobody, where nothing about the caller is proven. */
export function identityOf(caller: Caller): string | undefined {
  return caller.kind === 'anonymous' ? undefined : caller.id;
}
