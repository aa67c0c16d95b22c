import { BroadcastChannel } from 'node:worker_threads';
import type { OtherProtocol } from '../../http/door.ts';
import type { Route } from '../../http/route.ts';
import type { TlsIdentity } from '../../http/tls.ts';
import { areCanaries } from '../../report/canary-store.ts';
import { type EffectMessage, FeedEffects } from '../../status/feed/effects.ts';
import { Feed } from '../../status/feed/feed.ts';
import { FeedHub } from '../../status/feed/hub.ts';
import { feedRoutes } from '../../status/feed/routes.ts';
import { FeedSigner } from '../../status/feed/signer.ts';
import { FeedTail } from '../../status/feed/tail.ts';
import { Vouchers } from '../../status/feed/vouchers.ts';
import type { OcspAnswers } from '../../status/ocsp/answers.ts';
import { onceAskedFor } from './once-asked-for.ts';
import type { ThreadParts } from './thread-parts.ts';

/** The revocation feed of one request thread. */
export interface ThreadFeed {
  readonly routes: readonly Route[];
  /** The same as gRPC. */
  readonly grpc: OtherProtocol;
  /** What it says is signed with another key from now on. */
  setIdentity(identity: TlsIdentity): void;
  close(): Promise<void>;
}

/** Which points read from a relay, for the thread that has its stream. */
interface BehindMessage {
  readonly kind: 'behind';
  readonly point: string;
  readonly behind: readonly string[];
}

export interface FeedThread {
  /** Tells this server's threads from those of another in the same process. */
  readonly process: string;
  /** This thread's own, and how many there are. */
  readonly number: number;
  readonly threads: number;
  /** The server's own, with whose key what relays pass on is signed. */
  readonly identity: TlsIdentity;
  readonly ocsp: OcspAnswers;
}

export async function openFeed(
  { reader, epoch, clock, commit, log, hierarchy, authority }: ThreadParts,
  { process, number, threads, identity, ocsp }: FeedThread,
): Promise<ThreadFeed> {
  const hub = new FeedHub(clock);
  const channel = new BroadcastChannel(`writ-feed-${process}`);
  channel.unref();
  const effects = new FeedEffects({
    ...{ thread: number, threads, commit, clock, log, points: () => hub.points() },
    send: (message) => channel.postMessage(message),
    areCanaries: (subjects) => areCanaries(reader, subjects),
  });
  channel.onmessage = (event) => {
    const message = (event as MessageEvent).data as EffectMessage | BehindMessage;
    if (message.kind === 'behind') hub.setBehind(message.point, message.behind);
    else effects.receive(message);
  };
  const signer = new FeedSigner(hierarchy.trustDomain, identity);
  const vouchers = new Vouchers({
    ...{ reader, clock, log, authorities: () => authority.authorities() },
    ask: async (question) => (await ocsp.answer(question)).der,
    take: (all) => signer.setVouchers(all),
  });
  const vouch = (): void => void vouchers.look(signer.chain);
  vouch();
  const tail = await FeedTail.open({
    reader,
    epoch,
    log,
    clock,
    onEntries(entries, after) {
      hub.send(entries, after);
      effects.told(entries);
      if (entries.some(({ type }) => type.startsWith('authority.'))) vouch();
    },
  });
  hub.follow(tail);
  const tellBehind = (point: string, behind: readonly string[]): void =>
    channel.postMessage({ kind: 'behind', point, behind } satisfies BehindMessage);
  const feed = new Feed({ tail, hub, effects, signer, clock, tellBehind });
  return {
    routes: feedRoutes(feed, signer),
    // gRPC brings modules of its own, which a server that nobody asks for it starts without.
    grpc: onceAskedFor('h2', async () => (await import('./feed-grpc.ts')).feedGrpc(feed, signer)),
    setIdentity(next) {
      signer.setIdentity(next);
      vouch();
    },
    async close() {
      vouchers.close();
      hub.close();
      effects.close();
      channel.close();
      await tail.close();
    },
  };
}
