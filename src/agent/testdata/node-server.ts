/**
 * A server of a node for tests: real identities of a running authority, let in with join tokens, and tokens signed by a key
 * of its own. Every call can be made to fail.
 */
import { generateKeyPairSync, sign } from 'node:crypto';
import type { TestServer } from '../../../test/server.ts';
import { WritError } from '../../base/error.ts';
import { assembleJws, signingInput } from '../../jwt/jws.ts';
import { parseSpiffeBundle, type ParsedBundle } from '../../jwt/spiffe-bundle.ts';
import { enrol, type Home, openAuthority } from '../../sdk/enrolment/authority.ts';
import type { Entry } from '../../wire/entry.ts';
import type { WorkloadRefusal } from '../../wire/workload-refusal.ts';
import { instanceOf, type NodeServer, type Sight } from '../server.ts';

export interface TestNodeServer extends NodeServer {
  /** What it gives from now on. */
  set(entries: readonly Partial<Entry>[]): void;
  /** Every call rejects with it; undefined: as usual. */
  fail: WritError | undefined;
  readonly enrolled: (Sight & { readonly entry: string; readonly process: string })[];
  readonly renewed: (Partial<Sight> & { readonly instance: string })[];
  readonly stopped: { readonly instance: string; readonly cause: string }[];
  readonly refusals: WorkloadRefusal[];
  readonly tokens: { count: number };
  /** As of the server, a node has those alone that its entries name. */
  others: ReadonlyMap<string, ParsedBundle>;
}

export function entryOf(given: Partial<Entry>): Entry {
  return {
    ...{ id: '01jd0000000000000000000000', kind: 'agent', name: 'planner', node: 'box', match: [], scopes: [], labels: {} },
    ...{ federates_with: [], per: 'process', created_by: 'test', created_at: '2026-11-22T00:00:00.000Z' },
    ...given,
  } as Entry;
}

export function testNodeServer(server: TestServer, lifetimeSeconds?: number): TestNodeServer {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = { ...key.publicKey.export({ format: 'jwk' }), kid: 'test', use: 'jwt-svid' };
  const homes = new Map<string, Home>();
  const ids = new Map<string, string>();
  let [entries, fresh]: [readonly Entry[], boolean] = [[], true];
  // Registering somebody twice at once is a conflict.
  let registering: Promise<unknown> = Promise.resolve();
  const tokenFor = (name: string, kind: Entry['kind']): Promise<string> => {
    const token = registering.then(() => server.token(name, kind));
    registering = token.catch(() => undefined);
    return token;
  };
  const answering = (): void => {
    if (self.fail !== undefined) throw self.fail;
  };
  const self: TestNodeServer = {
    ...{ fail: undefined, enrolled: [], renewed: [], stopped: [], refusals: [], tokens: { count: 0 }, others: new Map() },
    set(given) {
      entries = given.map(entryOf);
      fresh = true;
    },
    async entries() {
      answering();
      if (!fresh) return undefined;
      fresh = false;
      return entries;
    },
    async enrol({ entry, process = '', ...sight }) {
      answering();
      self.enrolled.push({ entry, ...sight, process });
      const { kind, name } = entries.find(({ id }) => id === entry)!;
      const made = await enrol(await tokenFor(name, kind), lifetimeSeconds === undefined ? {} : { lifetimeSeconds });
      homes.set(made.credential.spiffeId, made.home);
      ids.set(instanceOf(made.credential), made.credential.spiffeId);
      return made.credential;
    },
    async renew(current, sight) {
      answering();
      self.renewed.push({ instance: instanceOf(current), ...sight });
      const authority = openAuthority(homes.get(current.spiffeId)!, current.spiffeId);
      try {
        return await authority.renew(current);
      } finally {
        authority.close();
      }
    },
    async stop(instance, cause) {
      answering();
      await server.json('instance', 'stop', instance, '--cause', cause, '--yes');
      self.stopped.push({ instance, cause });
    },
    async token(instance, audience) {
      answering();
      self.tokens.count += 1;
      const now = Math.floor(Date.now() / 1000);
      const claims = { sub: ids.get(instance), aud: audience, iat: now, exp: now + 300, jti: String(self.tokens.count) };
      const input = signingInput({ alg: 'ES256', typ: 'JWT', kid: 'test' }, claims);
      const signature = sign('sha256', Buffer.from(input), { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
      return assembleJws(input, signature);
    },
    async refused(refusals) {
      answering();
      self.refusals.push(...refusals);
    },
    async bundle() {
      answering();
      return parseSpiffeBundle(Buffer.from(JSON.stringify({ keys: [jwk] })), 'bundle');
    },
    async federated() {
      answering();
      const wanted = new Set(entries.flatMap(({ federates_with: domains }) => domains));
      return new Map([...self.others].filter(([name]) => wanted.has(name)));
    },
    close() {},
  };
  return self;
}
