import { setTimeout as pause } from 'node:timers/promises';
import { isWritError, WritError } from '../../base/error.ts';
import { createRateLimit, type RateLimit } from '../../http/rate-limit.ts';
import type { Entry } from '../../wire/entry.ts';
import type { Runtime } from '../../wire/runtime.ts';
import type { WorkloadFault } from '../../wire/workload-refusal.ts';
import type { Collector } from '../collect/collector.ts';
import { isPassing, pauseOf } from '../failure.ts';
import type { ProgramFiles } from '../process/program-files.ts';
import type { CallerProcess, ProcessEnd, ProcessTable } from '../process/table.ts';
import { describeProcess } from '../process/view.ts';
import type { Sight } from '../server.ts';
import type { Child } from './child.ts';
import { Children, type ChildrenParts, type Holder } from './children.ts';
import { EntryIndex } from './entry-index.ts';
import { factsOf, type Known, KnownProcesses } from './known.ts';

export interface WorkloadParts extends Omit<ChildrenParts, 'changed'> {
  readonly processes: ProcessTable;
  readonly programs: ProgramFiles;
  readonly collectors: readonly Collector[];
  /** Called for a caller whom no entry matches, before it is refused: the entries may be asked for again. */
  readonly unmatched: () => Promise<void>;
  /** What has become of a caller that is not alive any more. */
  readonly endOf: (process: CallerProcess) => ProcessEnd;
  /** Told of each caller that is refused here, without the server. */
  readonly refused: (process: CallerProcess, fault: WorkloadFault, program: string | undefined) => void;
}

/** Who a caller is. `refused`: nobody here; `unavailable`: it cannot be found out now; `gone`: the process has ended. */
export type Identities =
  | { readonly ok: true; readonly children: readonly Child[] }
  | { readonly ok: false; readonly why: 'refused' | 'unavailable' | 'gone' };

/** How long who has an identity waits for another one. */
const MAKING_MS = 500;
/** How long an entry that the server refused, or could not be asked for, is not tried again. */
const REFUSED_MS = 5000;
const UNREACHED_MS = 1000;
/**
 * What one process may say anew of itself. Each time entries that were refused are tried again, and the server hears of it in
 * what all workloads of this node may ask it together.
 */
const SAID = { perSecond: 0.2, burst: 10, callers: 65_536 };

/**
 * The workloads of this machine: which entries each caller matches, and the identities that they have. Processes, not
 * connections, have identities: each is collected anew at each call, keeps what it got, and loses it when it ends.
 */
export class Workloads {
  readonly #parts: WorkloadParts;
  readonly #known: KnownProcesses;
  readonly #children: Children;
  readonly #said: RateLimit = createRateLimit(SAID);
  #index: EntryIndex | undefined;
  #checking = false;

  constructor(parts: WorkloadParts) {
    this.#parts = parts;
    this.#known = new KnownProcesses(parts.processes, parts.programs, parts.collectors);
    this.#children = new Children({ ...parts, changed: (child) => this.#changed(child) });
  }

  /** Instances that this node has now. */
  get children(): ReadonlySet<Child> {
    return this.#children.all;
  }

  /** Entries by which callers are judged; undefined before the server was reached. */
  get entries(): EntryIndex | undefined {
    return this.#index;
  }

  /** Takes over the entries that hold from now on, and looks at everybody again. */
  setEntries(entries: readonly Entry[]): void {
    this.#index = new EntryIndex(entries);
    for (const child of this.#children.all) {
      if (this.#index.get(child.entry.id) === undefined) this.#children.stop(child, 'policy_change');
    }
    for (const known of this.#known.all()) {
      for (const [entry, { until }] of known.refused) if (until !== undefined) known.refused.delete(entry);
      this.#notify(known);
    }
  }

  /**
   * The identities of a process: those that it has, and those that it matches, which are made. `anew`: its facts are
   * collected again first. Rejects with `unavailable` where the daemon itself cannot look.
   */
  async identities(process: CallerProcess, anew: boolean): Promise<Identities> {
    if (!this.#parts.processes.alive(process)) return this.#goneCaller(process, anew);
    const known = this.#known.of(process);
    const seen = anew || known.seen === undefined ? await this.#see(process) : known;
    if (seen === undefined || !this.#parts.processes.alive(process)) return this.#goneCaller(process, anew);
    if (anew && this.#matched(known).length === 0) await this.#parts.unmatched();
    if (this.#index === undefined) return { ok: false, why: 'unavailable' };
    const matched = this.#matched(known);
    this.#dropUnmatched(known, matched);
    await this.#make(known, matched);
    // What was made for a process that ended meanwhile is found and stopped by the next sweep.
    if (!this.#parts.processes.alive(process)) return this.#goneCaller(process, anew);
    const children = usableOf(known, matched);
    if (children.length > 0) return { ok: true, children };
    // Of others the server knows: it stopped, holds or refused them.
    if (matched.length === 0) this.refuse(process, 'no-entry');
    const unreached = matched.some(({ id }) => known.refused.get(id)?.why === UNREACHED);
    return { ok: false, why: unreached ? 'unavailable' : 'refused' };
  }

  /**
   * Takes what the runtime of a process says of its agent, in place of what it said before, and has entries tried anew.
   * Whoever has an identity that the server believed something else of is not given it any more, and the server is told: it
   * holds what has changed. False: the process has ended. Rejects with `rate_limited` whoever says something else again and again.
   */
  async present(process: CallerProcess, runtime: Runtime): Promise<boolean> {
    const known = await this.#see(process);
    if (known === undefined) {
      this.#goneCaller(process, true);
      return false;
    }
    // Who only says it again, as after a connection was lost, changes nothing.
    if (JSON.stringify(known.runtime) === JSON.stringify(runtime)) return true;
    const wait = this.#said.take(process.key, performance.now());
    if (wait > 0) throw saidTooOften(wait);
    known.runtime = runtime;
    for (const [entry, { until }] of known.refused) if (until !== undefined) known.refused.delete(entry);
    this.#dropUnmatched(known, this.#matched(known));
    await Promise.all(
      [...known.children].map(async ([entry, child]) => {
        if ((await this.#children.hear(child, this.#holder(known))) === 'left') known.children.delete(entry);
      }),
    );
    this.#notify(known);
    return this.#parts.processes.alive(process);
  }

  /** Whether a caller that was found to have these has not ended since, nor any of them: what it asked for took a while. */
  mayHave(process: CallerProcess, children: readonly Child[]): boolean {
    if (this.#parts.processes.alive(process)) return children.every(({ usable }) => usable);
    this.#goneCaller(process, true);
    return false;
  }

  /** Has it known that a caller gets nothing here. */
  refuse(process: CallerProcess, fault: WorkloadFault): void {
    this.#parts.refused(process, fault, this.#known.get(process.key)?.seen?.facts['unix:path']?.[0]);
  }

  /** Calls the listener whenever the identities of a process may be others. Gives what ends that. */
  watch(process: CallerProcess, listener: () => void): () => void {
    if (!this.#parts.processes.alive(process)) return () => undefined;
    const known = this.#known.of(process);
    known.listeners.add(listener);
    return () => known.listeners.delete(listener);
  }

  /** What is kept of a process, for `writ agent why`. */
  peek(pid: number): Readonly<Pick<Known, 'children' | 'refused' | 'seen' | 'runtime'>> | undefined {
    return this.#known.byPid(pid);
  }

  /** Judges all by the feed again, or those alone that it names. */
  judge(subjects?: readonly string[]): void {
    this.#children.judge(subjects);
  }

  /** To be called every now and then: finds processes that have ended, and identities that have. */
  sweep(): void {
    for (const process of this.#parts.processes.sweep()) this.#gone(process.key);
    this.#children.sweep();
  }

  /** Looks at the programs of some of the processes: one that runs another now is another workload. */
  checkPrograms(turn: number, turns: number): void {
    if (this.#checking) return;
    this.#checking = true;
    const some = [...this.#known.all()].filter(
      ({ children, seen }, at) => at % turns === turn % turns && children.size > 0 && seen !== undefined,
    );
    void this.#check(some).finally(() => {
      this.#checking = false;
    });
  }

  /** One after another, so that whoever calls meanwhile waits for one at most. What cannot be looked at waits for the next turn. */
  async #check(some: readonly Known[]): Promise<void> {
    for (const known of some) {
      const changed = await this.#known.hasChanged(known).catch(() => false);
      if (changed) this.#takeChange(known).catch(() => undefined);
    }
  }

  async #takeChange(known: Known): Promise<void> {
    if ((await this.#known.see(known.process)) === undefined) return;
    // The server is told what runs now: it quarantines what is not what was let in.
    this.#dropUnmatched(known, this.#matched(known));
    await Promise.all([...known.children.values()].map((child) => child.renew()));
    this.#notify(known);
  }

  /** Ends everything here; instances are stopped by whoever stops the node. */
  close(): void {
    this.#children.close();
  }

  /** That a process ends while it listens is no refusal, unless somebody else listens on. */
  #goneCaller(process: CallerProcess, asks: boolean): Identities {
    const { fault, goesOn } = this.#parts.endOf(process);
    if (asks || goesOn) this.refuse(process, fault);
    return { ok: false, why: 'gone' };
  }

  /** Looks at a caller. Where the daemon itself cannot, it is refused for that. */
  async #see(process: CallerProcess): Promise<Known | undefined> {
    try {
      return await this.#known.see(process);
    } catch (error) {
      this.refuse(process, 'unreadable');
      throw error;
    }
  }

  /** The entries that a process matches, as far as it is known. */
  #matched(known: Known): readonly Entry[] {
    return this.#index?.match(factsOf(known)) ?? [];
  }

  /**
   * Makes what a process has not yet of its identities. Who has some does not wait for the others for long: it is told of them
   * when they are there, and meanwhile of what becomes of those that it has.
   */
  async #make(known: Known, matched: readonly Entry[]): Promise<void> {
    const missing = matched.filter(({ id }) => !known.children.has(id));
    if (missing.length === 0) return;
    const making = Promise.all(missing.map((entry) => this.#makeOne(known, entry)));
    if (usableOf(known, matched).length === 0) {
      await making;
      return;
    }
    const late = new AbortController();
    const isLate = await Promise.race([
      making.then(() => false),
      pause(MAKING_MS, true, { ref: false, signal: late.signal }).catch(() => false),
    ]);
    late.abort();
    if (isLate) void making.then(() => this.#notify(known));
  }

  /** Why there is none, if so, stands in `refused`. */
  async #makeOne(known: Known, entry: Entry): Promise<void> {
    const refused = known.refused.get(entry.id);
    if (refused !== undefined && (refused.until === undefined || refused.until > performance.now())) return;
    known.refused.delete(entry.id);
    try {
      const child = await this.#children.enrol(this.#holder(known), entry);
      if (child.end === undefined) known.children.set(entry.id, child);
    } catch (error) {
      this.#refuse(known, entry, error as Error);
    }
  }

  #holder(known: Known): Holder {
    const { process } = known;
    return {
      key: process.key,
      sight: () => sightOf(known),
      said: () => known.runtime,
      describe: () => describeProcess(process),
      alive: () => this.#parts.processes.alive(process),
      look: async () => {
        const seen = await this.#known.see(process);
        return seen === undefined ? undefined : sightOf(seen);
      },
    };
  }

  #refuse(known: Known, entry: Entry, error: Error): void {
    const unreached = isPassing(error);
    const why = isWritError(error) ? [error.message, ...error.reasons].join(' ') : error.message;
    const pause = unreached ? pauseOf(error, UNREACHED_MS, this.#parts.random) : REFUSED_MS;
    known.refused.set(entry.id, { why: unreached ? UNREACHED : why, until: performance.now() + pause });
    // Whoever listens gets it as soon as the server lets it in.
    setTimeout(() => this.#notify(known), pause + 10).unref();
  }

  #dropUnmatched(known: Known, matched: readonly Entry[]): void {
    for (const [id, child] of known.children) {
      if (matched.some((entry) => entry.id === id)) continue;
      // What its own runtime has taken back is held by the server, and is there again when that lets go of it.
      if (child.entry.per === 'node' || !child.contradicted) this.#drift(known, child);
    }
  }

  /** What a process runs now is not what the entry lets in. */
  #drift(known: Known, child: Child): void {
    known.children.delete(child.entry.id);
    if (!this.#children.drift(child, known.process.key)) return;
    known.refused.set(child.entry.id, { why: 'what runs now is not what was let in' });
  }

  #changed(child: Child): void {
    const { entry, end } = child;
    for (const known of this.#known.all()) {
      if (known.children.get(entry.id) !== child) continue;
      if (end !== undefined) {
        known.children.delete(entry.id);
        // Who was stopped does not come back by asking again: another process might.
        if (end === 'stopped') known.refused.set(entry.id, { why: STOPPED });
      }
      this.#notify(known);
    }
  }

  #gone(key: string): void {
    const known = this.#known.forget(key);
    if (known === undefined) return;
    for (const child of known.children.values()) this.#children.leave(child, key);
    this.#notify(known);
    this.#parts.processes.release(known.process);
  }

  #notify(known: Known): void {
    for (const listener of known.listeners) listener();
  }
}

const UNREACHED = 'the server could not be asked';
const STOPPED = 'the instance was stopped; this process gets no other, one that is started anew does';

function usableOf({ children }: Known, matched: readonly Entry[]): readonly Child[] {
  return matched.map(({ id }) => children.get(id)).filter((child) => child?.usable === true) as readonly Child[];
}

function saidTooOften(retryAfter: number): WritError {
  return new WritError('rate_limited', 'The process says something else of itself too often.', {
    remedy: 'Say what it runs when that changes, and start another process for another agent.',
    retryAfter,
  });
}

function sightOf({ seen, runtime }: Known): Sight {
  return { facts: seen!.facts, ...(runtime === undefined ? {} : { runtime }) };
}
