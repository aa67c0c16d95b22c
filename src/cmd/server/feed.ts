import { BroadcastChannel } from 'node:worker_threads';
import type { Route } from '../../http/route.ts';
import { type EffectMessage, FeedEffects } from '../../status/feed-effects.ts';
import { FeedHub } from '../../status/feed-hub.ts';
import { feedRoutes } from '../../status/feed-routes.ts';
import { FeedTail } from '../../status/feed-tail.ts';
import type { ThreadParts } from './thread-parts.ts';

/** The revocation feed of one request thread. */
export interface ThreadFeed {
  readonly routes: readonly Route[];
  close(): Promise<void>;
}

/** `process` tells this server's threads from those of another in the same process; `number` is the thread's own. */
export async function openFeed(
  { reader, epoch, clock, commit, log }: ThreadParts,
  { process, number, threads }: { readonly process: string; readonly number: number; readonly threads: number },
): Promise<ThreadFeed> {
  const hub = new FeedHub(clock);
  const channel = new BroadcastChannel(`writ-feed-${process}`);
  channel.unref();
  const effects = new FeedEffects({
    ...{ thread: number, threads, commit, clock, log, points: () => hub.points() },
    send: (message) => channel.postMessage(message),
  });
  channel.onmessage = (event) => effects.receive((event as MessageEvent).data as EffectMessage);
  const tail = await FeedTail.open({
    reader,
    epoch,
    log,
    onEntries(entries) {
      hub.send(entries);
      effects.told(entries);
    },
  });
  hub.follow(tail);
  return {
    routes: feedRoutes({ tail, hub, effects }),
    async close() {
      hub.close();
      effects.close();
      channel.close();
      await tail.close();
    },
  };
}
