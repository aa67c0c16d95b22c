import { randomUUID } from 'node:crypto';
import { MessageChannel } from 'node:worker_threads';
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { maintain } from '../../ca/authority/maintain.ts';
import { settleBundle } from '../../ca/bundle/bundle.ts';
import { keepSvidKeys } from '../../ca/bundle/svid-keys.ts';
import type { Hierarchy } from '../../ca/hierarchy.ts';
import type { Database } from '../../db/database.ts';
import { metricsMemory } from '../../http/metrics.ts';
import { epochCell } from '../../ledger/epoch.ts';
import { commitClient } from '../../ledger/port.ts';
import { finishStops } from '../../revocation/finish.ts';
import { hostAndPort, splitAddress } from '../config/address.ts';
import type { Config } from '../config/config.ts';
import { endpointRules } from '../config/federation.ts';
import type { LedgerKeyPair } from '../ledger-keys.ts';
import { type SettledListen, settlePlain, statusUrlOf } from '../status-url.ts';
import { readWebhooks, startApprovalUpkeep } from './approval-upkeep.ts';
import { startFederation } from './federation-upkeep.ts';
import type { FollowedKeyring } from './followed-keyring.ts';
import { startListUpkeep } from './list-upkeep.ts';
import { METRICS } from './metrics.ts';
import { requireFree } from './port-probe.ts';
import { requireIssuer } from './require-issuer.ts';
import { makeServerIdentity } from './server-identity.ts';
import { issuerOf, startSignals } from './signals.ts';
import { type ThreadParts, threadParts } from './thread-parts.ts';
import { type LoadedThread, loadThread, type RequestThread, startRequestThread, startWriter } from './threads.ts';
import { startUpkeep } from './upkeep.ts';

export interface ServerMeans {
  readonly config: Config;
  /** Where it listens, where that was settled before; else it is here. */
  readonly settled?: SettledListen;
  /** Path of the embedded database. */
  readonly databasePath: string;
  /** Open for reading; the server closes it. */
  readonly reader: Database;
  readonly keyring: FollowedKeyring;
  readonly ledgerKeys: LedgerKeyPair;
  readonly hierarchy: Hierarchy;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Threads that were given a start. */
  readonly loaded: LoadedThreads;
  /** Called when a thread is lost: the process has to end and start again. */
  readonly onLoss: (error: Error) => void;
  /** Milliseconds between two looks at what is due to the authorities. Default one minute. */
  readonly maintainEvery?: number;
}

interface LoadedThreads {
  readonly writer: LoadedThread;
  readonly request: LoadedThread;
}

/** Begins to load a writer and a request thread, which every server has. */
export function loadThreads(): LoadedThreads {
  return { writer: loadThread('writer-thread'), request: loadThread('request-thread') };
}

export interface RunningServer {
  /** `host:port` of each listener, with the ports that were really taken. */
  readonly listening: Config['listen'];
  /** With what it acts by itself. What is committed with it is in force here as soon as that is durable. */
  readonly own: ThreadParts;
  /** Answers what has begun, refuses what is new, commits what waits. */
  stop(): Promise<void>;
}

const GRACE_MS = 10_000;

/** Starts the threads of a server, and what it does by itself. */
export async function startServer(means: ServerMeans): Promise<RunningServer> {
  const { databasePath, reader, keyring, ledgerKeys, hierarchy, clock, random, log, onLoss } = means;
  const webhooks = await readWebhooks(means.config.webhooks);
  const settled = means.settled ?? (await settlePlain(means.config.listen));
  await requireFree(settled.listen, settled.release === undefined ? undefined : 'plain');
  const config = { ...means.config, listen: settled.listen };
  const statusUrl = statusUrlOf(config);
  const epoch = epochCell();
  const { loaded } = means;
  const others = Array.from({ length: config.requestThreads - 1 }, () => loadThread('request-thread'));
  const ports = Array.from({ length: config.requestThreads + 1 }, () => new MessageChannel());
  const writer = await startWriter(
    loaded.writer,
    {
      config,
      database: databasePath,
      ledgerKeys,
      epochMemory: epoch.memory,
      commitPorts: ports.map(({ port2 }) => port2),
    },
    onLoss,
  );
  const client = commitClient(ports.at(-1)!.port1, { clock, random });
  const parts = { reader, commit: client.commit, keyring, statusUrl, clock, random };
  await maintain(parts);
  await keepSvidKeys(parts);
  await settleBundle(parts);
  await requireIssuer(reader, clock.now());
  const own = await threadParts({ ...parts, hierarchy, names: config.names, epoch, log });
  await finishStops({ reader, certificates: own.certificates, commit: client.commit, clock });
  const identity = await makeServerIdentity(config.names, own);

  const shared = metricsMemory(METRICS, config.requestThreads);
  const threads: RequestThread[] = [];
  let listening = config.listen;
  for (const [number, request] of [loaded.request, ...others].entries()) {
    const thread = await startRequestThread(
      request,
      {
        config,
        database: databasePath,
        number,
        keyring: keyring.plain(),
        epochMemory: epoch.memory,
        metricsMemory: shared,
        commitPort: ports[number]!.port1,
        identity: identity.tls,
        listen: listening,
      },
      onLoss,
    );
    threads.push(thread);
    listening = taken(config.listen, thread.ports);
  }
  settled.release?.();

  const endApprovals = startApprovalUpkeep(own, webhooks, log);
  const endLists = startListUpkeep(own, log);
  const endSignals = startSignals(own, {
    config: config.signals,
    issuer: issuerOf(config.signals, config.names[0]!, listening.api),
    // The number is for whoever looks into the database; on several machines it may be the same.
    process: `${process.pid}-${randomUUID()}`,
    log,
  });
  const endFederation = startFederation(own, endpointRules(config.federation), log);
  const endUpkeep = startUpkeep({
    ...parts,
    log,
    own,
    identity,
    names: config.names,
    retentionDays: config.retentionDays,
    show(next) {
      for (const thread of threads) thread.tell({ kind: 'identity', identity: next });
    },
    share() {
      for (const thread of threads) thread.tell({ kind: 'keyring', keyring: keyring.plain() });
    },
    purge: (before) => writer.tell({ kind: 'purge', before }),
    ...(means.maintainEvery === undefined ? {} : { every: means.maintainEvery }),
  });

  return {
    listening,
    own,
    async stop() {
      endApprovals();
      endLists();
      await endSignals();
      await endFederation();
      endUpkeep();
      for (const thread of threads) thread.tell({ kind: 'stop', graceMs: GRACE_MS });
      await Promise.all(threads.map(({ ended }) => ended));
      own.policy.close();
      await client.close();
      writer.tell({ kind: 'stop' });
      await writer.ended;
      await reader.close();
    },
  };
}

function taken(asked: Config['listen'], ports: RequestThread['ports']): Config['listen'] {
  const put = (address: string, port: number): string => hostAndPort(splitAddress(address).host, port);
  return {
    api: put(asked.api, ports.api),
    public: put(asked.public, ports.public),
    plain: put(asked.plain, ports.plain),
  };
}
