import { type ErrorCode, WritError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import type { Batch, Commit } from '../db/batch.ts';
import type { Transaction } from '../db/database.ts';
import type { Edge } from '../merkle/edge.ts';
import { equalBytes } from '../merkle/hash.ts';
import { requireAgreement, requireProgress } from './clock.ts';
import { followEdge } from './edge-store.ts';
import { type EncodedBatch, encodeBatch, NO_BATCH } from './encode.ts';
import type { EpochCell } from './epoch.ts';
import { type GroupMember, type GroupResult, writeGroup } from './group.ts';
import { type HeadPosition, lockHead, readEpoch, readRoot } from './head.ts';
import type { LogOptions, LogState } from './log-state.ts';
import { recover } from './recover.ts';

export interface SequencerOptions extends LogOptions {
  readonly random: Random;
  readonly epoch: EpochCell;
  readonly log: Log;
  readonly limits?: Partial<SequencerLimits>;
}

export interface SequencerLimits {
  /** Batches in one transaction. */
  readonly group: number;
  /** Octets of entries in one transaction, beyond which no further batch joins. */
  readonly groupBytes: number;
  /** Batches that wait; the next one is refused with `unavailable`. */
  readonly queue: number;
  /** Milliseconds that a busy writer waits for company. */
  readonly linger: number;
  /** Milliseconds from a commit to the cosignature that covers it, and to the anchor's checkpoint. */
  readonly cosign: number;
  /** Milliseconds by which the clock may be behind the head. */
  readonly clockBehind: number;
  /** Milliseconds by which it may be off the clock of the database's machine. No limit unless told, for other clocks. */
  readonly clockOff: number;
  /** Milliseconds between two looks at the epoch, which other processes may have moved. */
  readonly poll: number;
}

const SEQUENCER_LIMITS: SequencerLimits = {
  group: 256,
  groupBytes: 4 * 1024 * 1024,
  queue: 4096,
  linger: 1,
  cosign: 1000,
  clockBehind: 10_000,
  clockOff: Number.POSITIVE_INFINITY,
  poll: 200,
};

export interface SequencerStatus {
  readonly state: 'open' | 'stopped' | 'closing';
  readonly origin: string;
  /** Number of leaves. */
  readonly size: number;
  readonly epoch: number;
  /** Milliseconds of the latest commit. */
  readonly time: number;
  /** Batches that wait. */
  readonly waiting: number;
}

/** One waiting act. `cosign` ones carry an empty batch; they ask that the head be cosigned in the group they join. */
interface Pending extends GroupMember {
  /** The head may take the clock's time though it is far behind its own. */
  readonly acceptsClock?: boolean;
  readonly resolve: (commit: Commit) => void;
  readonly reject: (error: unknown) => void;
}

/** What this process knows of the log: as of its own last commit, or of the last recovery. */
interface Known extends Pick<LogState, 'edge' | 'signer'> {
  readonly head: HeadPosition;
}

/** What a transaction has made. True once it has committed. */
interface Attempt extends GroupResult {
  readonly known: Known;
}

/** Errors that are no single batch's fault: everybody in the group gets them, and none is tried alone. */
const EVERYBODYS: ReadonlySet<string> = new Set<ErrorCode>([
  'storage_failed',
  'clock',
  'signer_failed',
  'unsafe_database',
]);
/** Errors after which what is known of the log may be wrong. So may it be after any error with the field `commit`. */
const NEEDS_RECOVERY: ReadonlySet<string> = new Set<ErrorCode>(['ledger_corrupt', 'unavailable']);
/** Outcomes of a recovery that trying again does not change. */
const FINAL: ReadonlySet<string> = new Set<ErrorCode>([
  'ledger_corrupt',
  'behind_anchor',
  'bad_config',
  'newer_version',
]);
const FIRST_RETRY = 50;
const LAST_RETRY = 2000;

/**
 * The sequencer: everything that Writ records goes through `#attempt`, one transaction for all that is in flight.
 *
 * Why a crash at any instant loses nothing that was released, and releases nothing that can be lost:
 *
 *  1. All that a batch changes (rows, leaves, tiles, the head with its signed checkpoint) is one transaction. The engine
 *     makes it durable whole or leaves no trace; there is no file beside the database whose state could differ.
 *  2. `#known` (edge, head, epoch) is replaced only after the transaction has committed. An attempt works on a copy of
 *     the edge, so what is rolled back never happened in memory either.
 *  3. A caller is answered, the epoch published and a checkpoint handed out only after the commit, so nobody has seen
 *     what a crash before it takes away. A checkpoint that was signed for a transaction that then failed was in this
 *     process's memory alone. That is why signing first and committing second never shows two histories.
 *  4. A batch marked `anchored` is answered only after the anchor, too, is durable. Which leaves those are is recorded in
 *     the same transaction (`ledger_anchored`), so a crash between commit and anchor is made good at start-up before
 *     anybody is served.
 *  5. When it is unknown whether a commit happened (the connection broke while it was under way), nothing more is
 *     committed on top of a guess: everybody in flight gets an error that says so, and the state is read again from the
 *     database by `recover`, the same code that runs at start-up.
 *  6. Other processes may commit between two groups (replicas on PostgreSQL, an administrator's command on SQLite). Each
 *     transaction first takes the lock of the head and looks where the log is; if it moved, the missing entries are read
 *     and hashed, and the root must be the stored one before anything is appended.
 */
export class Sequencer {
  readonly #options: SequencerOptions;
  readonly #limits: SequencerLimits;
  readonly #queue: Pending[] = [];
  readonly #pollTimer: NodeJS.Timeout;
  #known: Known;
  /** Set while nothing can be committed; what callers are told. */
  #stopped: WritError | undefined;
  #closing = false;
  #scheduled = false;
  #working = false;
  #lastGroup = 0;
  #cosignTimer: NodeJS.Timeout | undefined;
  #savingCheckpoint: Promise<void> = Promise.resolve();
  #polling: Promise<void> = Promise.resolve();
  #whenIdle: (() => void)[] = [];

  /** Recovers the log's state from what is stored and starts to commit. Rejects as `recover`. */
  static async open(options: SequencerOptions): Promise<Sequencer> {
    return new Sequencer(options, await recover(options));
  }

  private constructor(options: SequencerOptions, known: Known) {
    this.#options = options;
    this.#limits = { ...SEQUENCER_LIMITS, ...options.limits };
    this.#known = known;
    this.#publishEpoch(known.head.epoch);
    this.#pollTimer = setInterval(() => {
      this.#polling = this.#poll();
    }, this.#limits.poll).unref();
    // Whatever the process before this one committed last may lack its cosignature.
    if (known.head.size > 0) this.#cosignSoon(0);
  }

  /** Encodes and commits a batch in this thread. The contract is that of `CommitBatch`. */
  commit(batch: Batch): Promise<Commit> {
    let encoded: EncodedBatch;
    try {
      encoded = encodeBatch(batch, this.#options.clock, this.#options.random);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.submit(encoded);
  }

  /**
   * Commits a batch that says on record that the clock had been ahead, and lets the head's time go back to what the clock
   * shows now. The only way in which that time ever goes back.
   */
  acceptClock(batch: Batch): Promise<Commit> {
    const { clock, random } = this.#options;
    return new Promise((resolve, reject) => {
      this.#queue.push({
        batch: encodeBatch(batch, clock, random),
        cosign: false,
        acceptsClock: true,
        resolve,
        reject,
      });
      this.#schedule();
    });
  }

  /** Commits a batch that was encoded elsewhere. The contract is that of `CommitBatch`. */
  submit(batch: EncodedBatch): Promise<Commit> {
    if (this.#closing) return Promise.reject(new WritError('unavailable', 'the server is stopping'));
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped);
    if (this.#queue.length >= this.#limits.queue) {
      return Promise.reject(
        new WritError('unavailable', 'too many commits are waiting', { remedy: 'Repeat the request in a moment.' }),
      );
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ batch, cosign: false, resolve, reject });
      this.#schedule();
    });
  }

  /** What an operator may want to see of it. */
  status(): SequencerStatus {
    const { size, epoch, time } = this.#known.head;
    const state = this.#closing ? 'closing' : this.#stopped === undefined ? 'open' : 'stopped';
    return { state, origin: this.#known.signer.origin, size, epoch, time, waiting: this.#queue.length };
  }

  /** Takes no more, commits what waits, cosigns the head and brings the anchor up to it. The database stays open. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    clearInterval(this.#pollTimer);
    clearTimeout(this.#cosignTimer);
    if (this.#stopped === undefined && this.#known.head.size > 0) this.#enqueueCosign();
    while (this.#working || this.#scheduled || this.#queue.length > 0) {
      await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
    }
    clearTimeout(this.#cosignTimer);
    await this.#savingCheckpoint;
    await this.#polling;
  }

  /** A lone request is committed at once; a busy writer waits a moment for company, unless it has plenty already. */
  #schedule(): void {
    if (this.#scheduled || this.#working) return;
    this.#scheduled = true;
    const start = (): void => {
      this.#scheduled = false;
      void this.#work();
    };
    if (this.#lastGroup >= 2 && this.#queue.length < this.#limits.group) setTimeout(start, this.#limits.linger);
    else setImmediate(start);
  }

  async #work(): Promise<void> {
    this.#working = true;
    const group = this.#takeGroup();
    this.#lastGroup = group.length;
    try {
      if (group.length > 0) await this.#commitGroup(group);
    } finally {
      this.#working = false;
      if (this.#queue.length > 0) this.#schedule();
      else for (const resolve of this.#whenIdle.splice(0)) resolve();
    }
  }

  #takeGroup(): Pending[] {
    const { group, groupBytes } = this.#limits;
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && count < group && bytes < groupBytes) {
      for (const leaf of this.#queue[count]!.batch.leaves) bytes += leaf.entry.length;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  /**
   * Commits a group and answers everybody in it. When a statement throws, nothing of the group was kept, and each of its
   * batches is tried alone, so that one bad act cannot hurt its neighbours.
   */
  async #commitGroup(group: readonly Pending[]): Promise<void> {
    let made: Attempt;
    try {
      made = await this.#attempt(group);
    } catch (error) {
      const fault = asWritError(error);
      if (fault.field === 'commit' || NEEDS_RECOVERY.has(fault.code)) {
        rejectAll(group, fault);
        await this.#stop(fault);
      } else if (group.length === 1 || EVERYBODYS.has(fault.code)) {
        rejectAll(group, fault);
      } else {
        for (const pending of group) {
          if (this.#stopped === undefined) await this.#commitGroup([pending]);
          else pending.reject(this.#stopped);
        }
      }
      return;
    }
    await this.#settle(group, made);
  }

  /** After the commit: from here on the group is history, whatever happens. */
  async #settle(group: readonly Pending[], made: Attempt): Promise<void> {
    this.#known = made.known;
    this.#publishEpoch(made.known.head.epoch);
    const { anchor } = this.#options;
    let unanchored: WritError | undefined;
    if (anchor !== undefined && (made.anchored || group.some(({ batch }) => batch.anchored))) {
      try {
        await anchor.follow(this.#options.database, made.known.signer);
      } catch (error) {
        unanchored = new WritError(
          'storage_failed',
          'the revocation is recorded, but the anchor could not be written',
          {
            field: 'commit',
            remedy: 'Check the disk that holds the anchor directory. Repeat the request: it will find itself done.',
            cause: error,
          },
        );
      }
    }
    group.forEach((pending, i) => {
      const commit = made.commits[i]!;
      if (unanchored !== undefined && pending.batch.anchored && commit.committed) pending.reject(unanchored);
      else pending.resolve(commit);
    });
    if (made.cosigned !== undefined) this.#anchorCheckpoint(made.cosigned);
    else if (made.grew) this.#cosignSoon(this.#limits.cosign);
    if (unanchored !== undefined) await this.#stop(unanchored);
  }

  /** One transaction for the whole group. Rejects when nothing of it was kept, or, with field `commit`, perhaps all. */
  async #attempt(group: readonly Pending[]): Promise<Attempt> {
    const { database } = this.#options;
    // Where each wait is a round trip, the statements of a group go out without waiting for each other. Should a check
    // then fail, writes of its own batch are out already: the transaction is rolled back and done again in order.
    if (database.engine === 'postgres' && group.length > 1) {
      const refused = new WritError('conflict', 'a check of the group did not hold');
      try {
        return await database.transaction((tx) => this.#fill(tx, group, refused));
      } catch (error) {
        const fault = asWritError(error);
        if (fault.field === 'commit' || EVERYBODYS.has(fault.code) || NEEDS_RECOVERY.has(fault.code)) throw fault;
      }
    }
    return database.transaction((tx) => this.#fill(tx, group, undefined));
  }

  /** With `onRefusal`, statements are not awaited one by one, and a check that does not hold throws it. */
  async #fill(tx: Transaction, group: readonly Pending[], onRefusal: WritError | undefined): Promise<Attempt> {
    const { database, clock, partitions } = this.#options;
    const { signer } = this.#known;
    const { clockBehind, clockOff } = this.#limits;
    const before = clock.now();
    const head = await lockHead(tx, database.engine);
    const now = clock.now();
    const acceptsClock = group.some((pending) => pending.acceptsClock === true);
    if (!acceptsClock) requireProgress({ before, now }, head.time, clockBehind);
    if (head.serverTime !== undefined) requireAgreement({ before, now }, head.serverTime, clockOff);
    const edge = await this.#edgeAt(tx, head);
    const from = acceptsClock ? { ...head, time: now } : head;
    const written = await writeGroup(tx, group, { head: from, edge, signer, now, partitions, onRefusal });
    return { ...written, known: { head: written.head, edge, signer } };
  }

  /** A copy of the edge at the head, which other processes may have moved since our last commit. */
  async #edgeAt(tx: Transaction, locked: HeadPosition): Promise<Edge> {
    const { edge, head } = this.#known;
    if (locked.log !== head.log) throw new WritError('unavailable', 'another process has started a new log');
    if (locked.size === edge.size) return edge.clone();
    const moved = await followEdge(tx, edge, locked.size);
    const root = await readRoot(tx);
    if (root === undefined || !equalBytes(moved.root(), root)) {
      throw new WritError('ledger_corrupt', 'what another process appended does not lead to its root');
    }
    return moved;
  }

  /** Refuses everything that waits and all that comes, until the state has been read again. */
  async #stop(fault: WritError): Promise<void> {
    this.#options.log.error('ledger stopped', { code: fault.code, message: fault.message });
    clearTimeout(this.#cosignTimer);
    this.#cosignTimer = undefined;
    this.#stopped = new WritError('unavailable', 'the ledger is reading its state again after a failed commit', {
      remedy: 'Repeat the request in a moment.',
      cause: fault,
    });
    rejectAll(this.#queue.splice(0), this.#stopped);
    await this.#recover(FIRST_RETRY);
  }

  async #recover(retry: number): Promise<void> {
    if (this.#closing) return;
    try {
      this.#known = await recover(this.#options);
      this.#publishEpoch(this.#known.head.epoch);
      this.#stopped = undefined;
      this.#options.log.info('ledger recovered', { size: this.#known.head.size });
      this.#cosignSoon(0);
    } catch (error) {
      const fault = asWritError(error);
      this.#options.log.error('ledger not recovered', { code: fault.code, message: fault.message });
      if (FINAL.has(fault.code)) this.#stopped = fault;
      else setTimeout(() => void this.#recover(Math.min(retry * 2, LAST_RETRY)), retry).unref();
    }
  }

  #cosignSoon(delay: number): void {
    if (this.#closing || this.#cosignTimer !== undefined) return;
    this.#cosignTimer = setTimeout(() => {
      this.#cosignTimer = undefined;
      if (this.#stopped === undefined) this.#enqueueCosign();
    }, delay).unref();
  }

  #enqueueCosign(): void {
    const reject = (error: unknown): void => {
      const fault = asWritError(error);
      this.#options.log.warn('checkpoint not cosigned', { code: fault.code, message: fault.message });
      this.#cosignSoon(this.#limits.cosign);
    };
    this.#queue.push({ batch: NO_BATCH, cosign: true, resolve: () => undefined, reject });
    this.#schedule();
  }

  /**
   * Brings the anchor's checkpoint up, beside the commits: a second of it may be lost, a revocation may not. What others
   * revoked goes first, so that an anchor holds every revocation under its checkpoint, also after the last one.
   */
  #anchorCheckpoint(note: string): void {
    const { anchor, database, log } = this.#options;
    const { signer } = this.#known;
    if (anchor === undefined) return;
    this.#savingCheckpoint = this.#savingCheckpoint
      .then(() => anchor.follow(database, signer))
      .then(() => anchor.saveCheckpoint(note))
      .catch((error: unknown) => log.error('anchor not written', { message: asWritError(error).message }));
  }

  #publishEpoch(epoch: number): void {
    this.#options.epoch.publish(epoch, this.#options.clock.now());
  }

  /** Learns what other processes changed: publishes their epoch, and anchors what they revoked here, too. */
  async #poll(): Promise<void> {
    const { database, clock, epoch, anchor, log } = this.#options;
    try {
      const now = clock.now();
      const stored = await readEpoch(database);
      if (stored === undefined) return;
      epoch.publish(stored.epoch, now);
      const { head, signer } = this.#known;
      // Whether the epoch moved or not: what is anchored need not move it, as a list does not that follows a revocation.
      if (anchor !== undefined && stored.log === head.log) await anchor.follow(database, signer);
    } catch (error) {
      // The cell goes stale by itself, and whoever decides on it sees that.
      log.warn('epoch not followed', { message: asWritError(error).message });
    }
  }
}

function rejectAll(group: readonly Pending[], error: WritError): void {
  for (const pending of group) pending.reject(error);
}

function asWritError(error: unknown): WritError {
  if (error instanceof WritError) return error;
  return new WritError('internal', 'a commit failed inside Writ', { cause: error });
}
