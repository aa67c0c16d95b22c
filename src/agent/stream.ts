import type { Answers } from '../grpc/server-method.ts';
import type { Child } from './child.ts';
import { statusOf } from './failure.ts';
import type { CallerProcess } from './process-table.ts';
import { failureOf, type Workloads } from './workloads.ts';

/** Told of what concerns all callers: bundles and lists. */
export class Updates {
  readonly #listeners = new Set<() => void>();

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  notify(): void {
    for (const listener of this.#listeners) listener();
  }

  get size(): number {
    return this.#listeners.size;
  }
}

/** How long changes are gathered before they are told: several come together when entries or bundles change. */
const GATHER_MS = 50;
/** How often a reader who has not taken the last message is looked at. */
const SLOW_MS = 50;

/**
 * Serves a stream whose every message is the whole state (SPIFFE Workload API §4.3): one at once, and another whenever it
 * differs from what was sent last. A slow reader skips what has been overtaken. Ends with `PermissionDenied` when nothing is
 * left, and when the process at the other end has gone.
 */
export async function serveChanges(
  answers: Answers<CallerProcess, unknown>,
  { workloads, updates }: { readonly workloads: Workloads; readonly updates: Updates },
  make: (children: readonly Child[]) => Uint8Array,
): Promise<void> {
  const { connection: process, signal } = answers;
  let sent: Uint8Array | undefined;
  let dirty = false;
  let timer: NodeJS.Timeout | undefined;
  let running = false;
  const send = async (anew: boolean): Promise<void> => {
    const found = await workloads.identities(process, anew);
    if (signal.aborted) return;
    if (!found.ok) {
      // What was there is not taken back because the server is silent: it runs out by itself.
      answers.end(statusOf(failureOf(found.why)));
      return;
    }
    const frame = make(found.children);
    if (sent !== undefined && Buffer.compare(sent, frame) === 0) return;
    sent = frame;
    answers.sendFrame(frame);
  };
  const run = async (): Promise<void> => {
    timer = undefined;
    if (running || signal.aborted) return;
    if (answers.waiting() > 0) {
      timer = setTimeout(() => void run(), SLOW_MS);
      return;
    }
    running = true;
    dirty = false;
    try {
      await send(false);
    } catch (error) {
      answers.end(statusOf(error));
    } finally {
      running = false;
      if (dirty) later();
    }
  };
  const later = (): void => {
    dirty = true;
    if (timer === undefined && !running && !signal.aborted) timer = setTimeout(() => void run(), GATHER_MS);
  };
  const leave = [workloads.watch(process, later), updates.watch(later)];
  signal.addEventListener('abort', () => {
    clearTimeout(timer);
    for (const one of leave) one();
  });
  running = true;
  try {
    await send(true);
  } finally {
    running = false;
    if (dirty) later();
  }
}
