import type { Answers, CallContext } from '../../grpc/server-method.ts';
import type { Status } from '../../grpc/status.ts';
import { failureOf, statusOf } from '../failure.ts';
import type { CallerProcess } from '../process/table.ts';
import type { Child } from '../workloads/child.ts';
import type { Workloads } from '../workloads/workloads.ts';

/** Milliseconds between two who are told of the same, and how long it takes at most until all are. */
const APART_MS = 1;
const ALL_TOLD_MS = 500;

/** Told of what concerns all callers: bundles and lists. */
export class Updates {
  readonly #listeners = new Set<(afterMs: number) => void>();

  /** The listener is told how long to wait before it acts on what it hears. */
  watch(listener: (afterMs: number) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A thousand messages at one moment would keep whoever calls now waiting: each has a moment of its own. */
  notify(): void {
    const apart = Math.min(APART_MS, ALL_TOLD_MS / this.#listeners.size);
    let at = 0;
    for (const listener of this.#listeners) listener(at++ * apart);
  }
}

export interface FollowParts {
  readonly workloads: Workloads;
  readonly updates: Updates;
}

/** A call that lasts. */
interface Call extends CallContext<CallerProcess> {
  /** Octets that the reader has not taken yet. */
  waiting(): number;
  end(status?: Status): void;
}

/** How long changes are gathered before they are told: several come together when entries or bundles change. */
const GATHER_MS = 50;
/** How often a reader who has not taken the last message is looked at. */
const SLOW_MS = 50;

/**
 * Hands the identities of a caller to `take`: at once, and again whenever they, or what `updates` tells of, may be others,
 * until the call ends. A reader that is slow skips what has been overtaken. The call is ended with `PermissionDenied` when
 * nothing is left, or the process at the other end has gone. Resolves after the first time, with what asks for another.
 */
export async function follow(
  call: Call,
  { workloads, updates }: FollowParts,
  take: (children: readonly Child[]) => void,
): Promise<() => void> {
  const { connection: process, signal } = call;
  let dirty = false;
  let timer: NodeJS.Timeout | undefined;
  let due = 0;
  let running = true;
  const once = async (anew: boolean): Promise<void> => {
    running = true;
    try {
      const found = await workloads.identities(process, anew);
      if (signal.aborted) return;
      if (found.ok) take(found.children);
      else call.end(statusOf(failureOf(found.why)));
    } catch (error) {
      call.end(statusOf(error));
    } finally {
      running = false;
      if (dirty) later();
    }
  };
  const run = (): void => {
    timer = undefined;
    if (running || signal.aborted) return;
    if (call.waiting() > 0) {
      plan(SLOW_MS);
      return;
    }
    dirty = false;
    void once(false);
  };
  const plan = (milliseconds: number): void => {
    clearTimeout(timer);
    due = performance.now() + milliseconds;
    timer = setTimeout(run, milliseconds);
  };
  const later = (afterMs = 0): void => {
    dirty = true;
    if (running || signal.aborted) return;
    // What concerns this caller alone, as its stop, does not wait for its turn among all.
    if (timer === undefined || due > performance.now() + GATHER_MS + afterMs) plan(GATHER_MS + afterMs);
  };
  const leave = [workloads.watch(process, () => later()), updates.watch(later)];
  signal.addEventListener('abort', () => {
    clearTimeout(timer);
    for (const one of leave) one();
  });
  await once(true);
  return later;
}

/**
 * Serves a stream whose every message is the whole state (SPIFFE Workload API §4.3): one at once, and another whenever it
 * differs from what was sent last.
 */
export async function serveChanges(
  answers: Answers<CallerProcess, unknown>,
  parts: FollowParts,
  make: (children: readonly Child[]) => Uint8Array,
): Promise<void> {
  let sent: Uint8Array | undefined;
  const call: Call = {
    connection: answers.connection,
    signal: answers.signal,
    waiting: () => answers.waiting(),
    end: (status) => answers.end(status),
  };
  await follow(call, parts, (children) => {
    const frame = make(children);
    if (sent !== undefined && Buffer.compare(sent, frame) === 0) return;
    sent = frame;
    answers.sendFrame(frame);
  });
}
