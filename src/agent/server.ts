import { WritError } from '../base/error.ts';
import { Client } from '../http/client.ts';
import { type ParsedBundle, parseBundleMap, parseSpiffeBundle } from '../jwt/spiffe-bundle.ts';
import { type CertificateAnswer, rootsAfter, toCredential } from '../sdk/enrolment/authority.ts';
import { type Credential, pemOf } from '../sdk/identity/credential.ts';
import type { Identity } from '../sdk/identity/identity.ts';
import { checkWritServer } from '../sdk/peer/writ-server.ts';
import type { TrustDomain } from '../spiffe-id/trust-domain.ts';
import type { Entry, OwnEntries } from '../wire/entry.ts';
import type { JwtSvids } from '../wire/jwt-svid.ts';
import type { EnrolWorkload, RenewWorkload } from '../wire/workload.ts';
import type { WorkloadRefusal } from '../wire/workload-refusal.ts';
import { spareKeys } from './spare-key.ts';
import { createTokenRequests } from './token-requests.ts';

/** What is seen of a workload, and what its runtime says of it. */
export type Sight = Pick<EnrolWorkload, 'facts' | 'runtime'>;

/**
 * What a node asks of its server. Each rejects with the `WritError` that the server's answer is, `unavailable` where there
 * was none.
 */
export interface NodeServer {
  /** All entries of this node; undefined when nothing has changed since they were last given. */
  entries(): Promise<readonly Entry[] | undefined>;
  /** Lets a workload in: a new instance, whose parent this node is. Gives its credential, whose key was made here. */
  enrol(workload: Sight & Pick<EnrolWorkload, 'entry' | 'process'>): Promise<Credential>;
  /** The next certificate of an instance of this node. `seen`: what is true of it now; absent: nothing is compared. */
  renew(current: Credential, seen: Sight | undefined): Promise<Credential>;
  /** Stops an instance of this node. */
  stop(instance: string, cause: string): Promise<void>;
  /** A JWT-SVID for an instance of this node, as it is handed out. */
  token(instance: string, audience: readonly string[]): Promise<string>;
  /** Has it recorded whom this node refused by itself: once for one key, however often it is said. */
  refused(refusals: readonly WorkloadRefusal[], key: string): Promise<void>;
  /** By what tokens and certificates of the node's own trust domain are judged. */
  bundle(): Promise<ParsedBundle>;
  /** The same of others that its entries name, by trust domain. */
  federated(): Promise<ReadonlyMap<string, ParsedBundle>>;
  close(): void;
}

/** Workloads wait for the answer, and try again themselves. */
const TIMEOUT_MS = 5000;
const ATTEMPTS = 2;

/** The server at which a node is enrolled, spoken to as that node, with whatever certificate it has by then. */
export function openNodeServer(identity: Identity): NodeServer {
  const { server, trustDomain } = identity;
  if (server === undefined) {
    throw new WritError('bad_config', 'The identity of the node does not say where its server is.', { field: 'store' });
  }
  const client = new Client({
    server,
    roots: identity.credential.roots,
    credential: pemOf(identity.credential),
    checkServer: checkWritServer(trustDomain as TrustDomain),
    timeout: TIMEOUT_MS,
    attempts: ATTEMPTS,
  });
  const onRenewed = (next: Credential): void => client.setCredential(pemOf(next), next.roots);
  identity.on('renewed', onRenewed);
  const keys = spareKeys();
  const certificate = async (path: string, roots: readonly string[], body: object): Promise<Credential> => {
    const { key, csr } = await keys(roots[0]!);
    const answer = await client.json<CertificateAnswer>({ method: 'POST', path, body: { csr, ...body } });
    return toCredential(answer, key, rootsAfter(roots, answer));
  };
  const tokens = createTokenRequests(async (wanted) => {
    const answer = await client.json<JwtSvids>({
      ...{ method: 'POST', path: '/v1/workloads/jwt-svids' },
      body: { tokens: wanted },
    });
    return answer.tokens;
  });
  let entriesTag: string | undefined;
  return {
    async entries() {
      const headers = entriesTag === undefined ? {} : { 'If-None-Match': entriesTag };
      const first = await client.send({ path: '/v1/entries/own', headers });
      if (first.status === 304) return undefined;
      const entries = await wholeListing(JSON.parse(first.body.toString('utf8')) as OwnEntries, (after) =>
        client.json<OwnEntries>({ path: '/v1/entries/own', query: { after } }),
      );
      // A listing that changed while it was read is read again next time.
      entriesTag = entries === undefined ? undefined : first.headers.etag;
      return entries;
    },
    enrol: (workload) => certificate('/v1/workloads', identity.credential.roots, workload),
    async renew(current, seen) {
      const instance = instanceOf(current);
      const body: Omit<RenewWorkload, 'csr'> = seen ?? {};
      const next = await certificate(`/v1/workloads/${instance}/renew`, current.roots, body);
      if (next.spiffeId === current.spiffeId) return next;
      throw new WritError('bad_certificate', 'The server answered with a certificate for somebody else.');
    },
    async stop(instance, cause) {
      await client.json({ method: 'POST', path: `/v1/instances/${instance}/stop`, body: { cause } });
    },
    token: tokens,
    async refused(refusals, key) {
      const body = { refusals };
      await client.json({ method: 'POST', path: '/v1/workloads/refusals', body, idempotencyKey: key });
    },
    async bundle() {
      const { body } = await client.send({ path: '/v1/trust/bundle.json' });
      return parseSpiffeBundle(body, 'bundle');
    },
    async federated() {
      const { body } = await client.send({ path: '/v1/trust/federated' });
      return parseBundleMap(body, 'federated');
    },
    close() {
      identity.off('renewed', onRenewed);
      client.close();
    },
  };
}

/** The instance that a credential is of: the last segment of its id. */
export function instanceOf({ spiffeId }: Pick<Credential, 'spiffeId'>): string {
  return spiffeId.slice(spiffeId.lastIndexOf('/') + 1);
}

/** All pages; undefined when the listing changed on the way. */
async function wholeListing(
  first: OwnEntries,
  page: (after: string) => Promise<OwnEntries>,
): Promise<readonly Entry[] | undefined> {
  const entries = [...first.entries];
  for (let next = first.next_after; next !== undefined; ) {
    const further = await page(next);
    if (further.revision !== first.revision) return undefined;
    entries.push(...further.entries);
    next = further.next_after;
  }
  return entries;
}
