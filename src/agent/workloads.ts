import type { Clock } from '../base/clock.ts';
import { isWritError } from '../base/error.ts';
import type { Entry } from '../wire/entry.ts';
import type { WorkloadFacts } from '../wire/workload.ts';
import { Child, type ChildParts } from './child.ts';
import { collectFacts, type Whole } from './collect/collect.ts';
import type { Collector, Seen } from './collect/collector.ts';
import { EntryIndex } from './entry-index.ts';
import { createGate } from './gate.ts';
import type { CallerProcess, ProcessTable } from './process-table.ts';
import { describeProcess, programState } from './process-view.ts';
import type { Rotation } from './rotation.ts';
import type { NodeServer } from './server.ts';
import { Stops } from './stops.ts';

export interface WorkloadParts {
  readonly server: NodeServer;
  readonly processes: ProcessTable;
  readonly collectors: readonly Collector[];
  readonly rotation: Rotation;
  readonly clock: Clock;
  readonly random: () => number;
  /** Why something with these subjects may not act, as the feed says. */
  readonly fallen: (subjects: readonly string[]) => 'stopped' | 'held' | undefined;
  /** Called for a caller whom no entry matches, before it is refused: the entries may be asked for again. */
  readonly unmatched: () => Promise<void>;
  /** Told of each identity with a new certificate. */
  readonly renewed: (child: Child) => void;
}

/** Who a caller is. `refused`: nobody here; `unavailable`: it cannot be found out now; `gone`: the process has ended. */
export type Identities =
  | { readonly ok: true; readonly children: readonly Child[] }
  | { readonly ok: false; readonly why: 'refused' | 'unavailable' | 'gone' };

/** What is known of a process that has called. */
interface Known {
  readonly process: CallerProcess;
  seen: Whole | undefined;
  collecting: Promise<Whole | undefined> | undefined;
  /** By entry. */
  readonly children: Map<string, Child>;
  /** By entry: why there is none; `until` in milliseconds of this machine's steady clock, absent for ever. */
  readonly refused: Map<string, { readonly why: string; readonly until?: number }>;
  readonly listeners: Set<() => void>;
  /** The program as it was when the facts were collected. */
  program: string;
}

/** Requests to the server at once. */
const WIDTH = 16;
/** How long an entry that the server refused, or could not be asked for, is not tried again. */
const REFUSED_MS = 5000;
const UNREACHED_MS = 1000;
/** How long what a shared identity is for may be without any process. */
const GRACE_MS = 60_000;

/**
 * The workloads of this machine: which entries each caller matches, and the identities that they have. Processes, not
 * connections, have identities: each is collected anew at each call, keeps what it got, and loses it when it ends.
 */
export class Workloads {
  readonly #parts: WorkloadParts;
  readonly #turn: <T>(run: () => Promise<T>) => Promise<T>;
  readonly #known = new Map<string, Known>();
  /** Identities that all processes of an entry share, and those being made. */
  readonly #shared = new Map<
    string,
    { readonly child: Promise<Child>; readonly users: Set<string>; idleSince: number }
  >();
  readonly #making = new Map<string, Promise<Child>>();
  readonly #children = new Set<Child>();
  readonly #stops: Stops;
  #index: EntryIndex | undefined;
  #over = false;

  constructor(parts: WorkloadParts) {
    this.#parts = parts;
    this.#turn = createGate(WIDTH);
    this.#stops = new Stops(parts.server, this.#turn);
  }

  /** Instances that this node has now. */
  get children(): ReadonlySet<Child> {
    return this.#children;
  }

  /** Entries by which callers are judged; undefined before the server was reached. */
  get entries(): EntryIndex | undefined {
    return this.#index;
  }

  /** Takes over the entries that hold from now on, and looks at everybody again. */
  setEntries(entries: readonly Entry[]): void {
    this.#index = new EntryIndex(entries);
    for (const child of this.#children) {
      if (this.#index.get(child.entry.id) === undefined) this.#stop(child, 'policy_change');
    }
    for (const known of this.#known.values()) {
      for (const [entry, { until }] of known.refused) if (until !== undefined) known.refused.delete(entry);
      this.#notify(known);
    }
  }

  /** Facts of a process, collected now. Undefined when it ended meanwhile: what was read may be of another. */
  async see(process: CallerProcess): Promise<Seen | undefined> {
    // Of a process that has ended nothing is kept: nobody would take it away again.
    if (!this.#parts.processes.alive(process)) return undefined;
    const known = this.#of(process);
    known.collecting ??= this.#collect(known).finally(() => {
      known.collecting = undefined;
    });
    const seen = await known.collecting;
    return this.#parts.processes.alive(process) ? seen : undefined;
  }

  /**
   * The identities of a process: those that it has, and those that it matches, which are made. `anew`: its facts are
   * collected again first.
   */
  async identities(process: CallerProcess, anew: boolean): Promise<Identities> {
    if (!this.#parts.processes.alive(process)) return { ok: false, why: 'gone' };
    const known = this.#of(process);
    const seen = anew || known.seen === undefined ? await this.see(process) : known.seen;
    if (seen === undefined || !this.#parts.processes.alive(process)) return { ok: false, why: 'gone' };
    if (anew && (this.#index?.match(seen.facts).length ?? 0) === 0) await this.#parts.unmatched();
    if (this.#index === undefined) return { ok: false, why: 'unavailable' };
    const matched = this.#index.match(seen.facts);
    this.#dropUnmatched(known, matched);
    const made = await Promise.all(matched.map((entry) => this.#childOf(known, entry)));
    // What was made for a process that ended meanwhile is found and stopped by the next sweep.
    if (!this.#parts.processes.alive(process)) return { ok: false, why: 'gone' };
    const children = made.filter((child) => child !== undefined).filter((child) => child.usable);
    if (children.length > 0) return { ok: true, children };
    const unreached = matched.some(({ id }) => known.refused.get(id)?.why === UNREACHED);
    return { ok: false, why: unreached ? 'unavailable' : 'refused' };
  }

  /** Calls the listener whenever the identities of a process may be others. Gives what ends that. */
  watch(process: CallerProcess, listener: () => void): () => void {
    if (!this.#parts.processes.alive(process)) return () => undefined;
    const known = this.#of(process);
    known.listeners.add(listener);
    return () => known.listeners.delete(listener);
  }

  /** What is kept of a process, for `writ agent why`. */
  peek(key: string): Readonly<Pick<Known, 'children' | 'refused'>> | undefined {
    return this.#known.get(key);
  }

  /** The key under which the process with this id is known, if it has called. */
  keyOf(pid: number): string | undefined {
    return [...this.#known.values()].find(({ process }) => process.pid === pid && this.#parts.processes.alive(process))
      ?.process.key;
  }

  /** Judges all by the feed again, or those alone that it names. */
  judge(subjects?: readonly string[]): void {
    const named = subjects === undefined ? undefined : new Set(subjects);
    for (const child of this.#children) {
      if (named !== undefined && !child.subjects.some((subject) => named.has(subject))) continue;
      child.judge(this.#parts.fallen(child.subjects));
    }
  }

  /** To be called every now and then: finds processes that have ended, and identities that have. */
  sweep(): void {
    for (const process of this.#parts.processes.sweep()) this.#gone(process.key);
    for (const child of this.#children) child.expire();
    const now = performance.now();
    for (const [entry, shared] of this.#shared) {
      if (shared.users.size > 0) shared.idleSince = now;
      else if (now - shared.idleSince > GRACE_MS) {
        this.#shared.delete(entry);
        void shared.child.then(
          (child) => this.#stop(child, 'task_completed'),
          () => undefined,
        );
      }
    }
    this.#stops.send();
  }

  /** Looks at the programs of some of the processes: one that runs another now is another workload. */
  checkPrograms(turn: number, turns: number): void {
    let at = 0;
    for (const known of this.#known.values()) {
      if (at++ % turns !== turn % turns || known.children.size === 0 || known.seen === undefined) continue;
      const now = programState(known.process.pid);
      if (now === undefined || now === known.program) continue;
      void this.see(known.process).then(async (seen) => {
        if (seen === undefined) return;
        // The server is told what runs now: it quarantines what is not what was let in.
        this.#dropUnmatched(known, this.#index?.match(seen.facts) ?? []);
        await Promise.all([...known.children.values()].map((child) => child.renew()));
        this.#notify(known);
      });
    }
  }

  /** Ends everything here; instances are stopped by whoever stops the node. */
  close(): void {
    this.#over = true;
    for (const child of this.#children) child.finish('closed');
  }

  #of(process: CallerProcess): Known {
    let known = this.#known.get(process.key);
    if (known === undefined) {
      this.#parts.processes.hold(process);
      known = {
        ...{ process, seen: undefined, collecting: undefined, children: new Map(), refused: new Map() },
        ...{ listeners: new Set(), program: '' },
      };
      this.#known.set(process.key, known);
    }
    return known;
  }

  /** Undefined for a process that ends. */
  async #collect(known: Known): Promise<Whole | undefined> {
    const { pid } = known.process;
    const program = programState(pid);
    if (program === undefined) return undefined;
    const seen = await collectFacts(known.process, this.#parts.collectors, known.seen);
    // What was read while it ended is half of it.
    if (programState(pid) === undefined) return undefined;
    known.program = program;
    known.seen = seen;
    return seen;
  }

  /** The identity of a process under an entry; undefined where there is none, and why stands in `refused`. */
  async #childOf(known: Known, entry: Entry): Promise<Child | undefined> {
    const has = known.children.get(entry.id);
    if (has !== undefined) return has;
    const refused = known.refused.get(entry.id);
    if (refused !== undefined && (refused.until === undefined || refused.until > performance.now())) return undefined;
    known.refused.delete(entry.id);
    try {
      const child = await (entry.per === 'node' ? this.#sharedChild(known, entry) : this.#ownChild(known, entry));
      if (child.end !== undefined) return undefined;
      known.children.set(entry.id, child);
      return child;
    } catch (error) {
      this.#refuse(known, entry, error as Error);
      return undefined;
    }
  }

  #ownChild(known: Known, entry: Entry): Promise<Child> {
    const key = `${entry.id} ${known.process.key}`;
    const making =
      this.#making.get(key) ?? this.#enrol(known, entry, () => known).finally(() => this.#making.delete(key));
    this.#making.set(key, making);
    return making;
  }

  async #sharedChild(known: Known, entry: Entry): Promise<Child> {
    let shared = this.#shared.get(entry.id);
    if (shared === undefined) {
      const users = new Set<string>();
      const child = this.#enrol(known, entry, () => this.#firstOf(users));
      shared = { child, users, idleSince: performance.now() };
      this.#shared.set(entry.id, shared);
      child.catch(() => this.#shared.delete(entry.id));
    }
    const child = await shared.child;
    shared.users.add(known.process.key);
    return child;
  }

  #firstOf(users: ReadonlySet<string>): Known | undefined {
    for (const key of users) {
      const known = this.#known.get(key);
      if (known !== undefined && this.#parts.processes.alive(known.process)) return known;
    }
    return undefined;
  }

  /** `who`: of whom the facts are when it is renewed. */
  #enrol(known: Known, entry: Entry, who: () => Known | undefined): Promise<Child> {
    const { server, rotation, clock, random } = this.#parts;
    const parts: ChildParts = {
      ...{ server, rotation, clock, random, turn: this.#turn },
      facts: async () => {
        const one = who();
        return one === undefined ? undefined : (await this.see(one.process))?.facts;
      },
      changed: (child) => this.#changed(child),
    };
    return this.#turn(async () => {
      const facts: WorkloadFacts = known.seen!.facts;
      const credential = await server.enrol({ entry: entry.id, facts, process: describeProcess(known.process) });
      const child = new Child(entry, credential, parts);
      this.#children.add(child);
      this.#parts.renewed(child);
      // It may have been stopped before anybody here knew that it was there.
      child.judge(this.#parts.fallen(child.subjects));
      if (this.#over) child.finish('closed');
      else if (entry.per !== 'node' && !this.#parts.processes.alive(known.process)) this.#stop(child, 'task_completed');
      return child;
    });
  }

  #refuse(known: Known, entry: Entry, error: Error): void {
    const unreached = isWritError(error, 'unavailable') || isWritError(error, 'rate_limited') || !isWritError(error);
    const pause = unreached ? UNREACHED_MS : REFUSED_MS;
    known.refused.set(entry.id, { why: unreached ? UNREACHED : error.message, until: performance.now() + pause });
    // Whoever listens gets it as soon as the server lets it in.
    setTimeout(() => this.#notify(known), pause + 10).unref();
  }

  #dropUnmatched(known: Known, matched: readonly Entry[]): void {
    for (const [id, child] of known.children) {
      if (!matched.some((entry) => entry.id === id)) this.#drift(known, child);
    }
  }

  /** What a process runs now is not what the entry lets in. */
  #drift(known: Known, child: Child): void {
    known.children.delete(child.entry.id);
    if (child.entry.per === 'node') {
      this.#shared.get(child.entry.id)?.users.delete(known.process.key);
      return;
    }
    // The server hears what was seen, and quarantines; nothing is handed out here whatever it says.
    void child.renew().then(() => child.finish('stopped'));
    known.refused.set(child.entry.id, { why: 'what runs now is not what was let in' });
  }

  #changed(child: Child): void {
    const { entry, end } = child;
    for (const known of this.#known.values()) {
      if (known.children.get(entry.id) !== child) continue;
      if (end !== undefined) {
        known.children.delete(entry.id);
        // Who was stopped does not come back by asking again: another process might.
        if (end === 'stopped') known.refused.set(entry.id, { why: 'the instance was stopped' });
      }
      this.#notify(known);
    }
    if (end === undefined) {
      this.#parts.renewed(child);
      return;
    }
    this.#children.delete(child);
    const shared = this.#shared.get(entry.id);
    void shared?.child.then(
      (one) => one === child && this.#shared.delete(entry.id),
      () => undefined,
    );
  }

  #gone(key: string): void {
    const known = this.#known.get(key);
    if (known === undefined) return;
    this.#known.delete(key);
    for (const [entry, child] of known.children) {
      if (child.entry.per === 'node') this.#shared.get(entry)?.users.delete(key);
      else this.#stop(child, 'task_completed');
    }
    this.#notify(known);
    this.#parts.processes.release(known.process);
  }

  /** Ends an instance here at once, and at the server as soon as it can be reached. */
  #stop(child: Child, cause: string): void {
    if (child.end === undefined) this.#stops.add(child.instance, cause);
    child.finish('gone');
  }

  #notify(known: Known): void {
    for (const listener of known.listeners) listener();
  }
}

const UNREACHED = 'the server could not be asked';
