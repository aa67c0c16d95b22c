import { closeSync, readFileSync } from 'node:fs';
import type { WorkloadFault } from '../../wire/workload-refusal.ts';
import type { Native, PeerCredentials } from './native.ts';
import { ownersOf } from './view.ts';

/** A process that has called, held so that no other can be taken for it. */
export interface CallerProcess {
  /** Of this process and no other, for as long as it is held. */
  readonly key: string;
  readonly pid: number;
  /** As they were when it connected. */
  readonly uid: number;
  readonly gid: number;
  /** Ticks after the start of the machine at which it began (field 22 of `/proc/PID/stat`). */
  readonly started: number;
}

export interface ProcessEnd {
  readonly fault: WorkloadFault;
  /** Somebody else has one of its connections. */
  readonly goesOn: boolean;
}

interface Held extends CallerProcess {
  /** Descriptor of the process; absent where the kernel has none, and the start time has to do. */
  readonly descriptor: number | undefined;
  holders: number;
  gone: boolean;
}

/**
 * The processes that are at the other end of connections or own an identity. A process id alone is no name: when its
 * process has ended, another may get it. So the descriptor of the process is held, which the kernel took at `connect()`
 * (SO_PEERPIDFD); where it cannot, one is opened at once by id and compared by start time.
 */
export class ProcessTable {
  readonly #native: Native;
  readonly #held = new Map<string, Held>();
  /** The kernel has SO_PEERPIDFD: where it gives none for a peer, that peer has ended. */
  #exact = false;

  constructor(native: Native) {
    this.#native = native;
  }

  /** Whether a process is known by the very descriptor that the kernel took when it connected. */
  get exact(): boolean {
    return this.#exact;
  }

  /** Processes that are held. */
  get size(): number {
    return this.#held.size;
  }

  /** The process at the other end of a socket, held until `release`; undefined when it has ended already. */
  accept(socket: number): CallerProcess | undefined {
    const peer = this.#native.peerCredentials(socket);
    // 0: a process of another pid namespace, of which nothing can be said here.
    if (peer.pid <= 0) return undefined;
    let descriptor = this.#native.peerProcess(socket);
    if (descriptor === undefined) {
      if (this.#exact) return undefined;
      descriptor = this.#native.openProcess(peer.pid);
    } else {
      this.#exact = true;
    }
    return this.#take(peer, descriptor);
  }

  /** Why there is no process to be held at the other end of a socket, and whose it was as it connected. */
  refusalOf(socket: number): { readonly uid: number; readonly fault: WorkloadFault } {
    const { pid, uid } = this.#native.peerCredentials(socket);
    if (pid <= 0) return { uid, fault: 'other-namespace' };
    if (startOf(pid) !== undefined) {
      const descriptor = this.#native.openProcess(pid);
      // Without descriptors left nothing is known of anybody.
      if (descriptor === undefined) return { uid, fault: 'unreadable' };
      closeSync(descriptor);
      return { uid, fault: 'id-taken' };
    }
    return { uid, fault: this.#native.hungUp(socket) === false ? 'handed-over' : 'ended' };
  }

  /** What has become of a process that ends or has ended, and that made these connections. */
  endOf(process: CallerProcess, sockets: readonly number[]): ProcessEnd {
    // Its connections are closed before it has ended, but not before it begins to.
    if (this.alive(process)) return { fault: 'ended', goesOn: false };
    const goesOn = sockets.some((socket) => this.#native.hungUp(socket) === false);
    const now = startOf(process.pid);
    if (now !== undefined && now !== process.started) return { fault: 'id-taken', goesOn };
    return { fault: goesOn ? 'handed-over' : 'ended', goesOn };
  }

  /** The process that has this id now, held until `release`; undefined when none has. For who only wants to look. */
  open(pid: number): CallerProcess | undefined {
    const descriptor = this.#native.openProcess(pid);
    const owners = ownersOf(pid);
    if (owners !== undefined) return this.#take({ pid, ...owners }, descriptor);
    if (descriptor !== undefined) closeSync(descriptor);
    return undefined;
  }

  #take({ pid, uid, gid }: PeerCredentials, descriptor: number | undefined): CallerProcess | undefined {
    const started = startOf(pid);
    const found: Held = {
      ...{ key: `${pid}.${started ?? 0}`, pid, uid, gid, started: started ?? 0, descriptor },
      ...{ holders: 0, gone: false },
    };
    // Read first, looked at after: who was alive then had this id all the while.
    if (started === undefined || !this.#lives(found)) {
      close(found);
      return undefined;
    }
    const key = `${found.key}.${uid}.${gid}`;
    const known = this.#held.get(key);
    if (known !== undefined && this.#lives(known)) {
      close(found);
      known.holders += 1;
      return known;
    }
    const held: Held = { ...found, key, holders: 1 };
    this.#held.set(key, held);
    return held;
  }

  /** Another holder of a process that is held. */
  hold(process: CallerProcess): void {
    const held = this.#held.get(process.key);
    if (held !== undefined) held.holders += 1;
  }

  release(process: CallerProcess): void {
    const held = this.#held.get(process.key);
    if (held === undefined) return;
    held.holders -= 1;
    if (held.holders > 0) return;
    this.#held.delete(process.key);
    close(held);
  }

  /** Whether it runs still, and so has had its id all the while. */
  alive(process: CallerProcess): boolean {
    const held = this.#held.get(process.key);
    return held !== undefined && this.#lives(held);
  }

  /** Those that have ended since the last look. */
  sweep(): readonly CallerProcess[] {
    const watched = [...this.#held.values()].filter(({ gone }) => !gone);
    const known = watched.filter(({ descriptor }) => descriptor !== undefined);
    const told = this.#native.ended(known.map(({ descriptor }) => descriptor!));
    const ended = known.filter((_held, at) => told?.[at] === true);
    for (const held of watched) {
      if (held.descriptor === undefined && startOf(held.pid) !== held.started) ended.push(held);
    }
    for (const held of ended) held.gone = true;
    return ended;
  }

  #lives(held: Held): boolean {
    if (held.gone) return false;
    if (held.descriptor === undefined) return startOf(held.pid) === held.started;
    return this.#native.ended([held.descriptor])?.[0] === false;
  }
}

function close({ descriptor }: Held): void {
  if (descriptor !== undefined) closeSync(descriptor);
}

/** When the process that has this id now began; undefined when none has, or it is only waited for. */
function startOf(pid: number): number | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name of the program stands in parentheses and may hold anything.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : Number(fields[19]);
  } catch {
    return undefined;
  }
}
