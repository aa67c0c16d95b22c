import { once } from 'node:events';
import { type MessagePort, type ResourceLimits, Worker } from 'node:worker_threads';
import type { FromRequest, FromWriter, RequestData, ToRequest, ToWriter, WriterData } from './messages.ts';
import { sibling } from './sibling.ts';
import { fromMembers } from './thread-error.ts';

/** A thread that has said it is ready. */
export interface Thread<To> {
  tell(message: To): void;
  /** Resolves when it has ended. */
  readonly ended: Promise<void>;
}

/** A thread whose modules are being loaded, or have been. It does nothing before it gets its data. */
export interface LoadedThread {
  readonly name: 'writer-thread' | 'request-thread';
  readonly worker: Worker;
}

/** Loading takes longer than all else that a thread does to be ready: begin before there is anything for it to do. */
export function loadThread(name: LoadedThread['name']): LoadedThread {
  return { name, worker: new Worker(sibling(import.meta.url, name), { name, resourceLimits: THREAD_LIMITS }) };
}

/** Starts the writer. Rejects with why it could not. */
export async function startWriter(
  loaded: LoadedThread,
  data: WriterData,
  onLoss: (error: Error) => void,
): Promise<Thread<ToWriter>> {
  const { thread } = await start<ToWriter, FromWriter>(loaded, data, data.commitPorts, onLoss);
  return thread;
}

export interface RequestThread extends Thread<ToRequest> {
  readonly ports: { readonly api: number; readonly public: number; readonly plain: number };
}

/** Starts a request thread and waits until it listens. Rejects with why it could not. */
export async function startRequestThread(
  loaded: LoadedThread,
  data: RequestData,
  onLoss: (error: Error) => void,
): Promise<RequestThread> {
  const { thread, ready } = await start<ToRequest, FromRequest>(loaded, data, [data.commitPort], onLoss);
  return { ...thread, ports: (ready as Extract<FromRequest, { kind: 'ready' }>).ports };
}

/**
 * Limits of each thread's memory. With Node's default of 48 MB for young objects, the requests that wait for a commit are
 * copied again and again.
 */
export const THREAD_LIMITS: ResourceLimits = { maxYoungGenerationSizeMb: 192 };

async function start<To, From extends FromWriter | FromRequest>(
  { name, worker }: LoadedThread,
  data: WriterData | RequestData,
  transferList: readonly MessagePort[],
  onLoss: (error: Error) => void,
): Promise<{ thread: Thread<To>; ready: From }> {
  worker.postMessage(data, [...transferList]);
  let stopped = false;
  const ended = new Promise<void>((resolve) => {
    worker.once('exit', () => {
      resolve();
      // A thread that ends by itself takes requests with it whose outcome nobody knows: the process has to start again.
      if (!stopped) onLoss(new Error(`the ${name} ended unexpectedly`));
    });
  });
  worker.on('error', onLoss);
  const [first] = (await once(worker, 'message')) as [From];
  if (first.kind === 'failed') {
    stopped = true;
    throw fromMembers(first.error);
  }
  worker.on('message', (message: From) => {
    if (message.kind === 'stopped') stopped = true;
  });
  return { thread: { tell: (message) => worker.postMessage(message), ended }, ready: first };
}
