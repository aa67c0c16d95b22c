/**
 * A request thread: its own listeners on the shared ports, a reading connection, the issuing key. It does everything
 * for its requests but the commit.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { parentPort } from 'node:worker_threads';
import { systemClock } from '../../base/clock.ts';
import { systemRandom } from '../../base/random.ts';
import { rootsOf } from '../../ca/authority.ts';
import { readHierarchy } from '../../ca/hierarchy.ts';
import type { Database } from '../../db/database.ts';
import { DEFAULT_LIMITS, type Limits } from '../../http/limits.ts';
import { Metrics } from '../../http/metrics.ts';
import { outbound } from '../../http/outbound.ts';
import { HttpServer } from '../../http/server.ts';
import type { TlsIdentity } from '../../http/tls.ts';
import { epochCell } from '../../ledger/epoch.ts';
import { commitClient } from '../../ledger/port.ts';
import { identifyClients } from '../../rest/identify.ts';
import { plainRoutes } from '../../rest/plain.ts';
import { problemReplies } from '../../rest/problems.ts';
import { routeTables } from '../../rest/tables.ts';
import { misnamedWatch } from '../../spiffe/domain/misnamed.ts';
import { ocspRoutes } from '../../status/ocsp/routes.ts';
import { splitAddress } from '../config/address.ts';
import { issuerOptions, reviewerOf } from '../config/attestation.ts';
import type { Config } from '../config/config.ts';
import { endpointRules } from '../config/federation.ts';
import { openTrusted } from '../config/signals.ts';
import { openEngine } from '../engine.ts';
import { jwtIssuerOf } from '../jwt-issuer.ts';
import { openLog } from '../log.ts';
import { statusUrlOf } from '../status-url.ts';
import { VERSION } from '../version.ts';
import { askApproval, offerAccess } from './approval-operations.ts';
import { attestationOperations } from './attestation-operations.ts';
import { canaryOperations } from './canary-operations.ts';
import { domainOperations } from './domain-operations.ts';
import { federationOperations } from './federation-operations.ts';
import { openFeed } from './feed.ts';
import { FollowedKeyring } from './followed-keyring.ts';
import { jwtSvidOperations } from './jwt-operations.ts';
import { ledgerOperations } from './ledger-operations.ts';
import type { FromRequest, RequestData, ToRequest } from './messages.ts';
import { METRICS, requestObserver } from './metrics.ts';
import { nodeTest } from './nodes.ts';
import { ocspAnswers } from './ocsp.ts';
import { governanceOperations, issuanceOperations, registryOperations, reportOperations } from './operations.ts';
import { authorityDocuments } from './plain-documents.ts';
import { serverAddress } from './server-address.ts';
import { signalOperations } from './signal-operations.ts';
import { issuerOf } from './signals.ts';
import { certificateStanding } from './standing.ts';
import { serverStatus } from './status.ts';
import { toMembers } from './thread-error.ts';
import { type ThreadParts, threadParts } from './thread-parts.ts';

const port = parentPort!;
const [data] = (await once(port, 'message')) as [RequestData];
const tell = (message: FromRequest): void => port.postMessage(message);

/** How often counted refusals are looked at. */
const FLUSH_MS = 10_000;

try {
  await serve();
} catch (error) {
  tell({ kind: 'failed', error: toMembers(error) });
  port.close();
}

async function serve(): Promise<void> {
  const { config, commitPort, identity } = data;
  const keyring = new FollowedKeyring(data.keyring);
  const clock = systemClock;
  const random = systemRandom();
  const log = openLog(config.logLevel, `request-${data.number}`);
  const reader = await openEngine(config, { database: data.database }, { readOnly: true });
  const client = commitClient(commitPort, { clock, random });
  const hierarchy = (await readHierarchy(reader))!;
  const epoch = epochCell(data.epochMemory);
  const { names, massStop, stopsAMinute } = config;
  const statusUrl = statusUrlOf(config);
  const means = {
    reader,
    commit: client.commit,
    keyring,
    hierarchy,
    names,
    massStop,
    stopsAMinute,
    statusUrl,
    webhooks: config.webhooks.map(({ url }) => url),
    epoch,
    clock,
    random,
    log,
  };
  const parts = await threadParts(means);
  const sameServer = createHash('sha256').update(identity.chain).digest('hex');
  const ocsp = ocspAnswers(parts);
  const feed = await openFeed(parts, {
    ...{ process: sameServer, number: data.number, threads: config.requestThreads, identity, ocsp },
  });
  const trusted = await openTrusted(config.signals);
  const ending = new AbortController();
  let apiPort = 0;
  let publicPort = 0;
  const servers = openServers(parts, reader);
  const ports = await listen(servers, data.listen);
  apiPort = ports.api;
  publicPort = ports.public;
  const flushing = setInterval(() => void parts.refusals.flush(), FLUSH_MS);

  port.on('message', (message: ToRequest) => {
    if (message.kind === 'stop') void stop(message.graceMs);
    else if (message.kind === 'keyring') keyring.follow(message.keyring);
    else {
      servers.api.setIdentity(message.identity);
      servers.public.setIdentity(withoutClients(message.identity));
      feed.setIdentity(message.identity);
    }
  });
  tell({ kind: 'ready', ports });

  async function stop(graceMs: number): Promise<void> {
    clearInterval(flushing);
    ending.abort();
    await Promise.all(Object.values(servers).map((server) => server.close(graceMs)));
    await feed.close();
    await parts.refusals.flush(true);
    await client.close();
    parts.policy.close();
    await reader.close();
    tell({ kind: 'stopped' });
    port.close();
  }

  function openServers(built: ThreadParts, database: Database) {
    const metrics = new Metrics(METRICS, data.metricsMemory, data.number);
    const root = rootsOf(hierarchy.authorities)[0]!;
    const address = serverAddress(config, () => apiPort, root);
    const operations = [
      ...registryOperations(built, address),
      ...issuanceOperations(built),
      ...attestationOperations(built, {
        fetch: outbound(issuerOptions(config.attestation), 'attestation.allowNetworks'),
        reviewer: reviewerOf(config.attestation, built.log),
      }),
      ...reportOperations(built),
      ...governanceOperations(built),
      ...signalOperations(built, {
        config: config.signals,
        trusted,
        ending: ending.signal,
        issuer: () => issuerOf(config.signals, config.names[0]!, `api:${apiPort}`),
      }),
      ...federationOperations(built, endpointRules(config.federation).allowed),
      ...domainOperations(built),
      ...jwtSvidOperations(built, () => jwtIssuerOf(config, `public:${publicPort}`)),
      ...canaryOperations(built),
      ...ledgerOperations(built),
      ...serverStatus(built, metrics),
    ];
    const tables = routeTables(operations, VERSION, {
      answers: database,
      clock,
      refresh: built.issuance.refresh,
      askApproval: askApproval(built),
      offerAccess: offerAccess(built, address),
    });
    const common = { limits: limitsOf(config), clock, problem: problemReplies(log), observe: requestObserver(metrics) };
    const misnamed = misnamedWatch({
      ...{ reader: database, clock, trustDomain: hierarchy.trustDomain },
      recordRefusal: built.refusals.record,
    });
    const identify = identifyClients({
      trustDomain: hierarchy.trustDomain,
      authorities: () => built.authority.authorities(),
      now: clock.now,
      refused: (leaf) => void misnamed(leaf),
    });
    const clients = {
      identify,
      standing: certificateStanding(built),
      standingAsOf: epoch.current,
      isNode: nodeTest(built),
    };
    return {
      api: new HttpServer({
        ...common,
        routes: [...tables.api, ...feed.routes],
        tls: identity,
        clients,
        other: feed.grpc,
      }),
      public: new HttpServer({ ...common, routes: tables.open, tls: withoutClients(identity) }),
      plain: new HttpServer({
        ...common,
        routes: [...plainRoutes(authorityDocuments(built)), ...ocspRoutes(ocsp, clock)],
      }),
    };
  }
}

/** For a listener that asks for no certificate. */
function withoutClients(identity: TlsIdentity): TlsIdentity {
  return { ...identity, trusted: [] };
}

async function listen(
  servers: Readonly<Record<'api' | 'public' | 'plain', HttpServer>>,
  at: Config['listen'],
): Promise<{ api: number; public: number; plain: number }> {
  const bind = async (name: 'api' | 'public' | 'plain'): Promise<number> =>
    (await servers[name].listen({ ...splitAddress(at[name]), reusePort: true })).port;
  return { api: await bind('api'), public: await bind('public'), plain: await bind('plain') };
}

function limitsOf({ rateLimit, writeLimit, nodeLimit }: Config): Limits {
  const { perSecond, burst } = rateLimit;
  return {
    ...DEFAULT_LIMITS,
    caller: { perSecond, burst },
    writes: writeLimit,
    nodes: nodeLimit,
    address: { perSecond: Math.max(1, perSecond / 10), burst: Math.max(1, burst / 10) },
  };
}
