/**
 * A whole installation for tests of the flows: migrated database, ledger with its sequencer, authorities, the default
 * policy set, all as the server wires them, in one thread.
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { Attestation } from '../src/attest/attested.ts';
import type { Registered } from '../src/attest/flow.ts';
import { createToken } from '../src/attest/token/create.ts';
import type { TokenInput } from '../src/attest/token/input.ts';
import { attestJoinToken } from '../src/attest/token/join-token.ts';
import type { Caller } from '../src/base/access.ts';
import { type ManualClock, manualClock } from '../src/base/clock.ts';
import { silentLog } from '../src/base/log.ts';
import { type Random, systemRandom } from '../src/base/random.ts';
import { createHierarchy } from '../src/ca/authority/create.ts';
import { permittedNames } from '../src/ca/authority/name-constraints.ts';
import { openAuthority } from '../src/ca/authority/open.ts';
import { OpenShards } from '../src/ca/crl/open-shards.ts';
import { CERTIFICATES } from '../src/ca/index/certificates.ts';
import { builtInProfiles } from '../src/ca/profile/profile.ts';
import { type Batch, type CommitBatch, newBatch } from '../src/db/batch.ts';
import type { Database } from '../src/db/database.ts';
import { EpochCache } from '../src/db/epoch-cache.ts';
import { migrate } from '../src/db/migrate.ts';
import { PartitionMap } from '../src/db/partition-map.ts';
import { PartitionWriter } from '../src/db/partition-writer.ts';
import { CurrentAuthority } from '../src/issuance/current-authority.ts';
import { enrol } from '../src/issuance/enrol.ts';
import type { IssuedCertificate } from '../src/issuance/issued.ts';
import type { IssuanceParts } from '../src/issuance/parts.ts';
import { RefusalLog } from '../src/issuance/refusals.ts';
import { renewCertificate } from '../src/issuance/renew.ts';
import { generateKey, type KeyAlgorithm } from '../src/keys/generate.ts';
import { createKeyring, type Keyring } from '../src/keys/keyring.ts';
import { localSigner } from '../src/keys/local.ts';
import { Passphrase } from '../src/keys/passphrase.ts';
import { decodeEntry, type RecordedEvent } from '../src/ledger/entry.ts';
import { type EpochCell, epochCell } from '../src/ledger/epoch.ts';
import { readHead } from '../src/ledger/head.ts';
import { Sequencer } from '../src/ledger/sequencer.ts';
import { startLog } from '../src/ledger/start-log.ts';
import { readEntries } from '../src/ledger/store.ts';
import { createGuard } from '../src/policy/guard.ts';
import { Policy } from '../src/policy/policy.ts';
import { insertDefaultPolicy } from '../src/policy/publish.ts';
import { readActingPeople } from '../src/registry/acting-people.ts';
import type { Agent, AgentKind } from '../src/registry/agent.ts';
import { readEmergencyAccess } from '../src/registry/emergency.ts';
import type { RegistryParts } from '../src/registry/flow.ts';
import { readGroupsOfOperators } from '../src/registry/group.ts';
import { createLookup } from '../src/registry/lookup.ts';
import { registerAgent } from '../src/registry/register.ts';
import { actingFor } from '../src/revocation/acting.ts';
import { areOperatorsCutOff } from '../src/revocation/cut-off.ts';
import { parseTrustDomain } from '../src/spiffe-id/trust-domain.ts';
import { parseJoinToken } from '../src/wire/join-token.ts';
import { encodeCsr } from '../src/x509/csr.ts';

export const START = 1_800_000_000_000;
export const ADA: Caller = { kind: 'operator', id: 'spiffe://agents.example.com/operator/ada', operator: 'ada' };
export const ANONYMOUS: Caller = { kind: 'anonymous', id: 'anonymous' };
export const SYSTEM: Caller = { kind: 'system', id: 'system:test' };

export interface InstallationOptions {
  readonly algorithm?: KeyAlgorithm;
  /** Rows in a partition of certificates. */
  readonly rowLimit?: number;
  /** What the clock shows first, in milliseconds; for tests over TLS, which judges by the real time. */
  readonly start?: number;
}

export interface Installation {
  readonly database: Database;
  readonly clock: ManualClock;
  readonly random: Random;
  readonly epoch: EpochCell;
  readonly keyring: Keyring;
  readonly commit: CommitBatch;
  readonly policy: Policy;
  readonly issuance: IssuanceParts;
  readonly registry: RegistryParts;
  readonly refusals: RefusalLog;
  /** Everything in the ledger from `leaf` on. */
  events(leaf?: number): Promise<RecordedEvent[]>;
  /** Moves the clock, as if the epoch had been polled all the while. */
  advance(ms: number): void;
  close(): Promise<void>;
}

export async function createInstallation(database: Database, options: InstallationOptions = {}): Promise<Installation> {
  const clock = manualClock(options.start ?? START);
  const random = systemRandom();
  const epoch = epochCell();
  const trustDomain = parseTrustDomain('agents.example.com');
  await migrate(database);
  const keys = {
    checkpoint: localSigner(await generateKey('ed25519')),
    cosignature: localSigner(await generateKey('ml-dsa-44')),
  };
  const families = [{ ...CERTIFICATES, ...(options.rowLimit === undefined ? {} : { rowLimit: options.rowLimit }) }];
  const partitions = new PartitionWriter(database.engine, families, clock);
  const log = { database, keys, partitions, clock };
  await startLog({ ...log, trustDomain, random });
  const sequencer = await Sequencer.open({ ...log, random, epoch, log: silentLog });
  const commit: CommitBatch = (batch) => {
    requireBump(batch);
    return sequencer.commit(batch);
  };

  const act = { now: clock.now(), caller: SYSTEM.id, random };
  const batch = newBatch();
  const keyring = await createKeyring(batch, new Passphrase(Buffer.from('a passphrase for tests')), {
    ...act,
    derivation: { memory: 8192, passes: 1, lanes: 1, salt: random(16) },
  });
  const scope = { trustDomain, dns: [], networks: [], loopback: true };
  const profiles = builtInProfiles(permittedNames(scope));
  await createHierarchy(batch, { ...act, scope, profiles, keyring, algorithm: options.algorithm ?? 'ecdsa-p256' });
  insertDefaultPolicy(batch, clock.now());
  await commit(batch);

  const guard = createGuard({ trustDomain, dnsSubtrees: ['localhost'], ipRanges: ['127.0.0.0/8', '::1/128'] });
  const certificates = new PartitionMap(database, CERTIFICATES.name);
  const policy = new Policy({
    reader: database,
    epoch,
    clock,
    guard,
    log: silentLog,
    groups: () => groupsOf(database),
    people: async () => ({
      ...(await readActingPeople(database, clock.now())),
      cutOff: await areOperatorsCutOff({ reader: database, certificates, clock }),
    }),
    emergencies: () => readEmergencyAccess(database, clock.now()),
  });
  const authority = new CurrentAuthority({
    reader: database,
    epoch,
    open: (one) => openAuthority(database, keyring, one, trustDomain),
  });
  const refresh = async (): Promise<void> => {
    await policy.fresh();
    await authority.refresh();
  };
  await refresh();
  const refusals = new RefusalLog(commit, clock, silentLog);
  const { authorize } = policy;
  const issuance: IssuanceParts = {
    trustDomain,
    reader: database,
    certificates,
    authority,
    shards: new OpenShards('http://status.agents.example.com', random),
    authorize,
    refresh,
    holders: new EpochCache(epoch, 10_000),
    commit,
    recordRefusal: refusals.record,
    clock,
    random,
  };
  return {
    database,
    clock,
    random,
    epoch,
    keyring,
    commit,
    policy,
    issuance,
    registry: {
      reader: database,
      authorize,
      commit,
      clock,
      random,
      profileFits: async () => true,
      namesFit: async () => true,
    },
    refusals,
    async events(leaf = 0) {
      const head = await readHead(database);
      return (await readEntries(database, leaf, head!.size)).map((entry, i) => decodeEntry(leaf + i, entry));
    },
    advance(ms) {
      clock.advance(ms);
      epoch.publish(epoch.current(), clock.now());
    },
    async close() {
      policy.close();
      await sequencer.close();
    },
  };
}

/** What somebody's standing rests on. New agents, owners and instances change nobody's; nor does a newer certificate. */
const STANDING =
  /^(INSERT INTO|UPDATE|DELETE FROM) (hold|policy_set|profile|authority)\b|^(UPDATE|DELETE FROM) (agent|owner|operator|instance)\b(?! SET latest_serial)|^UPDATE \{partition\} SET revoked_at/;

/** Checks of standing are not asked while the epoch stays (`Batch.under`), so whatever changes standing has to move it. */
function requireBump({ writes, bumpsEpoch }: Batch): void {
  const changes = writes.find(({ sql }) => STANDING.test(sql));
  assert.ok(changes === undefined || bumpsEpoch, `moves no epoch: ${changes?.sql}`);
}

/** Ada and Bob are in the groups of a first operator, also where they are no more than the names of callers. */
async function groupsOf(database: Database): Promise<ReadonlyMap<string, readonly string[]>> {
  const groups = new Map(await readGroupsOfOperators(database));
  for (const name of [ADA.operator!, 'bob']) {
    const known = await database.get('SELECT 1 AS found FROM operator WHERE name = ?', [name]);
    if (known === undefined) groups.set(name, ['ca-officers', 'security']);
  }
  return groups;
}

/** Registers an agent that is ready for instances. */
export async function register(installation: Installation, name: string, kind: AgentKind = 'agent'): Promise<Agent> {
  return registerOf(installation, 'research', name, kind);
}

/** The same of a team. */
export async function registerOf(
  { registry, issuance }: Installation,
  team: string,
  name: string,
  kind: AgentKind = 'agent',
): Promise<Agent> {
  await issuance.refresh();
  const owner = { team, sponsor: 'alice@example.com' };
  return registerAgent(ADA, { kind, name, owner, purpose: 'tests', environment: 'test', profile: kind }, registry);
}

/** The `registry/` that `attest/` asks for. */
export function registered({ database }: Pick<Installation, 'database'>): Registered {
  return createLookup(database);
}

/** Makes a join token and gives what the door makes of its text. */
export async function newToken(
  installation: Installation,
  input: TokenInput,
  caller: Caller = ADA,
): Promise<{ readonly id: string; readonly attest: () => Promise<Attestation> }> {
  const { database, clock, random, commit, policy, issuance } = installation;
  await issuance.refresh();
  const parts = {
    reader: database,
    authorize: policy.authorize,
    commit,
    clock,
    random,
    registered: registered(installation),
    server: { address: 'localhost:8443', rootFingerprint: new Uint8Array(32) },
  };
  const token = await createToken(caller, input, parts);
  const instances = parts.registered;
  const given = parseJoinToken(token.text);
  return { id: token.id, attest: () => attestJoinToken(given, { reader: database, clock, instances }) };
}

/** Lets a new instance in. */
export async function letIn(
  installation: Installation,
  input: TokenInput,
  key: TestKey = newKey(),
): Promise<IssuedCertificate> {
  const token = await newToken(installation, input);
  return enrol(ANONYMOUS, { evidence: await token.attest(), csr: await key.csr() }, installation.issuance);
}

/** Lets an instance in with a join token of another's, whose child it is. */
export async function childOf(
  installation: Installation,
  parent: IssuedCertificate,
  agent = 'planner',
): Promise<IssuedCertificate> {
  const token = await newToken(installation, { agent }, callerOf(parent));
  return enrol(ANONYMOUS, { evidence: await token.attest(), csr: await newKey().csr() }, installation.issuance);
}

/** Lets an instance of any agent in as another's child, as under a policy set that lets that one start it. */
export async function startedBy(
  installation: Installation,
  parent: IssuedCertificate,
  agent: string,
): Promise<IssuedCertificate> {
  const evidence = await (await newToken(installation, { agent })).attest();
  assert.ok(evidence.accepted);
  const attested = { ...evidence.attested, parent: parent.instance! };
  const csr = await newKey().csr();
  return enrol(ANONYMOUS, { evidence: { accepted: true, attested }, csr }, installation.issuance);
}

/** Renews as the door does it: the commit looks again at the caller. */
export async function renewWith({ issuance }: Installation, held: IssuedCertificate): Promise<IssuedCertificate> {
  const caller = callerOf(held);
  const acting = await actingFor(caller, issuance, { policy: false });
  return renewCertificate(caller, { csr: await newKey().csr() }, { ...issuance, ...acting });
}

/** What the door makes of a presented certificate. */
export function callerOf({ kind, id, name, instance, serial }: IssuedCertificate): Caller {
  if (kind === 'operator') return { kind, id, operator: name, serial };
  if (kind === 'server' || kind === 'responder') return { kind: 'system', id, serial };
  return { kind, id, agent: name, instance: instance!, serial };
}

/** A key pair and requests for it. */
export interface TestKey {
  readonly key: KeyObject;
  readonly csr: () => Promise<Uint8Array>;
}

export function newKey(): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }));
  return {
    key: privateKey,
    csr: () =>
      encodeCsr({ spki, algorithm: 'ecdsa-p256-sha256', sign: async (message) => sign('sha256', message, privateKey) }),
  };
}
