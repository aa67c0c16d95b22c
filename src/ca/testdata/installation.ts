import type { KeyObject } from 'node:crypto';
import { type ManualClock, manualClock } from '../../base/clock.ts';
import { newId } from '../../base/id.ts';
import { type Random, systemRandom } from '../../base/random.ts';
import { type Batch, type CommitBatch, newBatch } from '../../db/batch.ts';
import { generateKey, type KeyAlgorithm } from '../../keys/generate.ts';
import { createKeyring, type Keyring } from '../../keys/keyring.ts';
import { localSigner } from '../../keys/local.ts';
import { Passphrase } from '../../keys/passphrase.ts';
import type { Name } from '../../spiffe-id/name.ts';
import { instanceId } from '../../spiffe-id/subject.ts';
import { parseTrustDomain, type TrustDomain } from '../../spiffe-id/trust-domain.ts';
import { encodeNameConstraints } from '../../x509/extensions/name-constraints.ts';
import { parsePublicKey } from '../../x509/public-key.ts';
import type { Authority } from '../authority.ts';
import { type Created, type CreateOptions, createHierarchy } from '../authority/create.ts';
import type { Issuer } from '../issuer.ts';
import { LIFETIMES } from '../lifetime.ts';
import { issuingLifetime } from '../authority/issuing-lifetime.ts';
import { makeAuthority } from '../authority/make.ts';
import { type NameScope, nameConstraintsFor, permittedNames } from '../authority/name-constraints.ts';
import { type LeafStatus, OpenShards } from '../crl/open-shards.ts';
import { type LeafRequest, prepareLeaf } from '../certificate/prepare.ts';
import { builtInProfiles, type Profile } from '../profile/profile.ts';
import { type SignedCertificate, signCertificate } from '../certificate/sign.ts';

export const random: Random = systemRandom();
export const START: number = Date.UTC(2027, 0, 15, 8, 30, 0, 250);
export const PASSPHRASE: Passphrase = new Passphrase(Buffer.from('a passphrase of tests'));
export const TRUST_DOMAIN: TrustDomain = parseTrustDomain('agents.example.com');
export const DAY = 86_400_000;

export const scopeOf = (change: Partial<NameScope> = {}): NameScope => ({
  trustDomain: TRUST_DOMAIN,
  dns: [],
  networks: [],
  loopback: false,
  ...change,
});

/** A name scope, an algorithm, and a chain of authorities in memory: what needs no database. */
export interface Chain {
  readonly scope: NameScope;
  readonly profiles: readonly Profile[];
  readonly root: Authority;
  readonly intermediate: Authority;
  readonly issuing: Authority;
  /** Of the issuing authority. */
  readonly issuer: Issuer;
  readonly issuingKey: KeyObject;
  readonly issuers: { readonly root: Issuer; readonly intermediate: Issuer };
}

/** `nameConstraints`: DER, where they are others than those of the scope. */
export async function makeChain(
  algorithm: KeyAlgorithm,
  scope: NameScope = scopeOf(),
  now: number = START,
  nameConstraints: Uint8Array = encodeNameConstraints(nameConstraintsFor(scope)),
): Promise<Chain> {
  const frame = { trustDomain: scope.trustDomain, algorithm, nameConstraints };
  const profiles = builtInProfiles(permittedNames(scope));
  const base = { state: 'active', now, random, statusUrl: 'http://status.agents.example.com' } as const;
  const root = await makeAuthority(frame, { ...base, kind: 'root', lifetime: LIFETIMES.root });
  const lifetime = LIFETIMES.intermediate;
  const intermediate = await makeAuthority(frame, { ...base, kind: 'intermediate', above: root.issuer, lifetime });
  const issuing = await makeAuthority(frame, {
    ...base,
    kind: 'issuing',
    above: intermediate.issuer,
    lifetime: issuingLifetime(profiles),
  });
  return {
    scope,
    profiles,
    root: root.authority,
    intermediate: intermediate.authority,
    issuing: issuing.authority,
    issuer: issuing.issuer,
    issuingKey: issuing.key,
    issuers: { root: root.issuer, intermediate: intermediate.issuer },
  };
}

/** A leaf of an agent instance, or of what `request` says, with a fresh key. */
export async function leafRequest(
  request: Partial<LeafRequest> = {},
  algorithm: KeyAlgorithm = 'ecdsa-p256',
): Promise<LeafRequest> {
  const key = parsePublicKey(localSigner(await generateKey(algorithm)).spki);
  return { key, id: instanceId(TRUST_DOMAIN, 'agent', 'planner' as Name, newId(START, random)), ...request };
}

export async function issueLeaf(
  chain: Pick<Chain, 'issuer' | 'profiles'>,
  request: LeafRequest,
  { profile = 'agent', now = START }: { profile?: string; now?: number } = {},
): Promise<SignedCertificate> {
  const found = chain.profiles.find(({ name }) => name === profile)!;
  return signCertificate(chain.issuer, prepareLeaf(chain.issuer, found, request, { now, random, status: statusOf(chain.issuer, found) }));
}

/** What a leaf of this issuer says of its status, in a shard of its own. */
export function statusOf(issuer: Issuer, { revocation }: Pick<Profile, 'revocation'>): LeafStatus {
  return new OpenShards('http://status.agents.example.com', random).next(issuer, revocation, START);
}

/** An installation in a database, as `writ init` makes it, but with a key derivation that costs nothing. */
export interface Installation extends Created {
  readonly keyring: Keyring;
  readonly clock: ManualClock;
}

export async function install(
  { commit }: { readonly commit: CommitBatch },
  change: Partial<CreateOptions> & { readonly scope?: NameScope } = {},
): Promise<Installation> {
  const clock = manualClock(START);
  const batch = newBatch();
  const keyring = await cheapKeyring(batch, clock.now());
  const scope = change.scope ?? scopeOf();
  const created = await createHierarchy(batch, {
    scope,
    algorithm: 'ecdsa-p256',
    profiles: builtInProfiles(permittedNames(scope)),
    keyring,
    now: clock.now(),
    random,
    caller: 'system:init',
    ...change,
  });
  await committed({ commit }, batch);
  return { ...created, keyring, clock };
}

export function cheapKeyring(batch: Batch, now: number): Promise<Keyring> {
  const derivation = { memory: 8192, passes: 1, lanes: 1, salt: random(16) };
  return createKeyring(batch, PASSPHRASE, { now, random, derivation });
}

export async function committed({ commit }: { readonly commit: CommitBatch }, batch: Batch): Promise<void> {
  const answer = await commit(batch);
  if (!answer.committed) throw new Error(`${answer.refusal}: ${answer.reason}`);
}

