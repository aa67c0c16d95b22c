import { once } from 'node:events';
import { MessageChannel, Worker } from 'node:worker_threads';
import { maintain } from '../src/ca/authority/maintain.ts';
import type { IssuedCertificate } from '../src/issuance/issued.ts';
import type { FillData, FromFiller } from './fill-thread.ts';
import { callerOf, type Member, newRequest } from './fleet.ts';
import type { Installation } from './installation.ts';
import type { SharedClock } from './shared-clock.ts';

/** Threads that renew, beside the one that commits: as the server's request threads and its writer. */
const THREADS = 2;
/** Requests that the members of a thread take in turn; renewing with a key of one's own again is allowed. */
const REQUESTS = 1000;

/**
 * By which the clock moves until the authorities are looked after, as a server does by itself: within it the issuing one
 * is neither due nor at its end. Milliseconds.
 */
const STRETCH_MS = 7 * 86_400_000;

export interface FillOptions {
  /** Renewals. */
  readonly count: number;
  /** By which the clock moves with each of them, in milliseconds. */
  readonly stepMs: number;
  readonly progress: (done: number) => void;
}

/**
 * Lets a fleet renew through the flows of request threads, the port and the sequencer, as a server does without its
 * doors, with a clock that runs ahead. Gives the fleet with what each of its members has at the end.
 */
export async function fillStore(
  installation: Installation,
  clock: SharedClock,
  fleet: readonly Member[],
  { count, stepMs, progress }: FillOptions,
): Promise<readonly Member[]> {
  const stretch = Math.floor(STRETCH_MS / stepMs);
  let members = fleet;
  for (let done = 0; done < count; done += stretch) {
    const further = { count: Math.min(stretch, count - done), stepMs };
    members = await fillStretch(installation, clock, members, {
      ...further,
      progress: (more) => progress(done + more),
    });
    await maintain(installation.parts);
    await installation.parts.issuance.refresh();
  }
  return members;
}

async function fillStretch(
  installation: Installation,
  clock: SharedClock,
  fleet: readonly Member[],
  { count, stepMs, progress }: FillOptions,
): Promise<Member[]> {
  const left = new SharedArrayBuffer(4);
  Atomics.store(new Int32Array(left), 0, count);
  let done = 0;
  const fill = async (thread: number): Promise<Member[]> => {
    const members = fleet.filter((_, i) => i % THREADS === thread);
    const requests = await Promise.all(Array.from({ length: REQUESTS }, () => newRequest()));
    const { port1, port2 } = new MessageChannel();
    installation.serve(port1);
    const workerData: FillData = {
      data: installation.directory.path,
      keyring: installation.parts.keyring,
      epochMemory: installation.epoch.memory,
      clockMemory: clock.memory,
      commitPort: port2,
      callers: members.map(({ caller }) => caller),
      requests: requests.map(({ csr }) => csr),
      left,
      stepMs,
    };
    const worker = new Worker(new URL('fill-thread.ts', import.meta.url), { workerData, transferList: [port2] });
    const ended = once(worker, 'exit');
    let latest: readonly (IssuedCertificate | undefined)[] = [];
    worker.on('message', (message: FromFiller) => {
      if ('latest' in message) latest = message.latest;
      else {
        done += message.done;
        progress(done);
      }
    });
    await ended;
    return members.map((member, i) => {
      const issued = latest[i] ?? member.issued;
      return { ...member, issued, caller: callerOf(issued) };
    });
  };
  return (await Promise.all(Array.from({ length: THREADS }, (_, thread) => fill(thread)))).flat();
}
