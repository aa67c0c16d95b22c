import type { Clock } from '../../base/clock.ts';
import { WritError } from '../../base/error.ts';
import type { Entry } from '../../wire/entry.ts';
import type { Runtime } from '../../wire/runtime.ts';
import { isPassing } from '../failure.ts';
import { createGate } from '../gate.ts';
import type { NodeServer, Sight } from '../server.ts';
import { Child, type ChildParts } from './child.ts';
import type { Rotation } from './rotation.ts';
import { agree } from './runtime-drift.ts';
import { Stops } from './stops.ts';

export interface ChildrenParts {
  readonly server: NodeServer;
  readonly rotation: Rotation;
  readonly clock: Clock;
  readonly random: () => number;
  /** Why something with these subjects may not act, as the feed says. */
  readonly fallen: (subjects: readonly string[]) => 'stopped' | 'held' | undefined;
  /** Told of each identity with a new certificate. */
  readonly renewed: (child: Child) => void;
  /** Told of each that has another certificate, is held or released, or has ended. */
  readonly changed: (child: Child) => void;
}

/** A process that an identity is for. */
export interface Holder {
  readonly key: string;
  /** What was seen of it last. */
  sight(): Sight;
  /** What its runtime says now. */
  said(): Runtime | undefined;
  /** For people. */
  describe(): string;
  alive(): boolean;
  /** What is seen of it now; undefined when it has ended. */
  look(): Promise<Sight | undefined>;
}

/** An identity that all processes of an entry share. */
interface Shared {
  readonly child: Promise<Child>;
  /** Those that have it now, by key. */
  readonly holders: Map<string, Holder>;
  idleSince: number;
}

/** Requests to the server at once. */
const WIDTH = 16;
/** How long what a shared identity is for may be without any process. */
const GRACE_MS = 60_000;

/**
 * The instances that this node has let in: one for each process and entry, or one for all processes of an entry. Each is
 * renewed, judged by the feed, and stopped at the server when nobody is left who has it.
 */
export class Children {
  readonly #parts: ChildrenParts;
  readonly #turn: <T>(run: () => Promise<T>) => Promise<T>;
  readonly #all = new Set<Child>();
  /** By entry, and those being made. */
  readonly #shared = new Map<string, Shared>();
  /** Of one process under one entry, being made. */
  readonly #making = new Map<string, Promise<Child>>();
  readonly #stops: Stops;
  #over = false;

  constructor(parts: ChildrenParts) {
    this.#parts = parts;
    this.#turn = createGate(WIDTH);
    this.#stops = new Stops(parts.server, this.#turn);
  }

  get all(): ReadonlySet<Child> {
    return this.#all;
  }

  /** Lets a process in under an entry that it matches; who asks meanwhile gets the same. Rejects as the server answers. */
  enrol(holder: Holder, entry: Entry): Promise<Child> {
    if (entry.per === 'node') return this.#share(holder, entry);
    const key = `${entry.id} ${holder.key}`;
    const making =
      this.#making.get(key) ?? this.#ask(holder, entry, () => holder).finally(() => this.#making.delete(key));
    this.#making.set(key, making);
    return making;
  }

  /** A process that had it has ended: with it what was its alone. */
  leave(child: Child, key: string): void {
    if (child.entry.per === 'node') this.#shared.get(child.entry.id)?.holders.delete(key);
    else this.stop(child, 'task_completed');
  }

  /** A process that had it does not match its entry any more. Gives whether it was its alone, which ends it. */
  drift(child: Child, key: string): boolean {
    if (child.entry.per === 'node') {
      this.leave(child, key);
      return false;
    }
    // The server hears what was seen, and quarantines; nothing is handed out here whatever it says.
    void child.renew().then(() => {
      // One that is silent has not heard, and whoever has the certificate has it for as long as it lives.
      if (child.lastError !== undefined && isPassing(child.lastError)) {
        this.#stops.add(child.instance, 'attestation_drift');
      }
      child.finish('stopped');
    });
    return true;
  }

  /** The runtime of a process that has it says something else now: the server is told of what is its alone. */
  async hear(child: Child, holder: Holder): Promise<'told' | 'left'> {
    if (child.entry.per !== 'node') {
      await child.tell();
      return 'told';
    }
    if (agree(child.runtime, holder.said())) return 'told';
    this.leave(child, holder.key);
    return 'left';
  }

  /** Ends an instance here at once, and at the server as soon as it can be reached. */
  stop(child: Child, cause: string): void {
    if (child.end === undefined) this.#stops.add(child.instance, cause);
    child.finish('gone');
  }

  /** Judges all by the feed again, or those alone that it names. */
  judge(subjects?: readonly string[]): void {
    const named = subjects === undefined ? undefined : new Set(subjects);
    for (const child of this.#all) {
      if (named !== undefined && !child.subjects.some((subject) => named.has(subject))) continue;
      child.judge(this.#parts.fallen(child.subjects));
    }
  }

  /** To be called every now and then: finds identities that have ended, and those that nobody has any more. */
  sweep(): void {
    for (const child of this.#all) child.expire();
    const now = performance.now();
    for (const [entry, shared] of this.#shared) {
      if (shared.holders.size > 0) shared.idleSince = now;
      else if (now - shared.idleSince > GRACE_MS) {
        this.#shared.delete(entry);
        void shared.child.then(
          (child) => this.stop(child, 'task_completed'),
          () => undefined,
        );
      }
    }
    this.#stops.send();
  }

  /** Ends all here; instances are stopped by whoever stops the node. */
  close(): void {
    this.#over = true;
    for (const child of this.#all) child.finish('closed');
  }

  async #share(holder: Holder, entry: Entry): Promise<Child> {
    let shared = this.#shared.get(entry.id);
    if (shared === undefined) {
      const holders = new Map<string, Holder>();
      const child = this.#ask(holder, entry, () => [...holders.values()].find((one) => one.alive()));
      shared = { child, holders, idleSince: performance.now() };
      this.#shared.set(entry.id, shared);
      child.catch(() => this.#shared.delete(entry.id));
    }
    const child = await shared.child;
    // What the server believes of the agent, it believes of all who share it.
    if (!agree(child.runtime, holder.said())) {
      throw new WritError('denied', 'what its runtime says is not what those say who share this identity');
    }
    // One that ended meanwhile would never be taken away again.
    if (holder.alive()) shared.holders.set(holder.key, holder);
    return child;
  }

  /** `who`: at whom is looked when it is renewed. */
  #ask(holder: Holder, entry: Entry, who: () => Holder | undefined): Promise<Child> {
    const { server, rotation, clock, random } = this.#parts;
    const parts: ChildParts = {
      ...{ server, rotation, clock, random, turn: this.#turn },
      facts: async () => who()?.look(),
      said: () => who()?.said(),
      changed: (child) => this.#changed(child),
    };
    return this.#turn(async () => {
      const sight = holder.sight();
      const credential = await server.enrol({ entry: entry.id, ...sight, process: holder.describe() });
      const child = new Child(entry, credential, parts, sight.runtime);
      this.#all.add(child);
      this.#parts.renewed(child);
      // It may have been stopped before anybody here knew that it was there.
      child.judge(this.#parts.fallen(child.subjects));
      if (this.#over) child.finish('closed');
      else if (entry.per !== 'node' && !holder.alive()) this.stop(child, 'task_completed');
      // Its runtime may have said something else meanwhile.
      else if (entry.per !== 'node') void child.tell();
      return child;
    });
  }

  #changed(child: Child): void {
    this.#parts.changed(child);
    if (child.end === undefined) {
      this.#parts.renewed(child);
      return;
    }
    this.#all.delete(child);
    const { id } = child.entry;
    const shared = this.#shared.get(id);
    void shared?.child.then(
      (one) => one === child && this.#shared.delete(id),
      () => undefined,
    );
  }
}
