import type { Authorize, Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { isWritError, WritError } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import {
  type Domain,
  type DomainAuthority,
  domainAuthorities,
  insertDomain,
  insertDomainAuthority,
  listDomains,
  closeDomain as pushClosed,
  readDomain,
  requireRoom,
  requireUnrelated,
  type SubordinateProfile,
} from '../ca/domain.ts';
import { makeDomainAuthorities, signSubordinate } from '../ca/make-domain.ts';
import { type Batch, type CommitBatch, type JsonValue, newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import type { Reader } from '../db/database.ts';
import type { RecordRefusal } from '../issuance/refusals.ts';
import type { KeyAlgorithm } from '../keys/generate.ts';
import type { Keyring } from '../keys/keyring.ts';
import { parseSpiffeId } from '../spiffe-id/spiffe-id.ts';
import { parseTrustDomain, type TrustDomain } from '../spiffe-id/trust-domain.ts';
import { type Csr, parseCsr, verifyCsr } from '../x509/csr.ts';
import { findExtension } from '../x509/extension.ts';
import { decodeSubjectAltName, SUBJECT_ALT_NAME } from '../x509/extensions/subject-alt-name.ts';
import type { OwnTrust } from './judge-bundle.ts';

export interface DomainParts {
  readonly reader: Reader;
  readonly authorize: Authorize;
  readonly commit: CommitBatch;
  readonly keyring: Keyring;
  readonly clock: { now(): number };
  readonly random: Random;
  readonly algorithm: KeyAlgorithm;
  readonly own: () => Promise<OwnTrust>;
  readonly recordRefusal: RecordRefusal;
}

/** A domain with its authorities. */
export interface ShownDomain {
  readonly domain: Domain;
  readonly authorities: readonly DomainAuthority[];
}

const INSTALLATION = { type: 'Installation', id: 'writ' } as const;
/** A quarter; the intermediate that signs lives three years. */
const MOST_SECONDS = 90 * 86_400;
const MOST_SUBORDINATES = 1000;

/**
 * Makes a further trust domain: its root, the authority that signs subordinate ones, and the profile by which it does. Those who
 * agree to this agree to the profile. Throws `bad_request`, `bad_spiffe_id`, `denied`, `needs_approval`, `conflict`.
 */
export async function createDomain(
  caller: Caller,
  input: { readonly trustDomain: string; readonly profile: SubordinateProfile },
  parts: DomainParts,
  { dryRun }: { readonly dryRun?: boolean | undefined } = {},
): Promise<ShownDomain> {
  const trustDomain = parseTrustDomain(input.trustDomain, '/trust_domain');
  demand(parts.authorize, {
    ...{ caller, action: 'domain.create', resource: INSTALLATION },
    context: { trustDomain, lifetimeSeconds: input.profile.mostSeconds },
  });
  requireUnrelated((await parts.own()).trustDomain, trustDomain);
  requireProfile(input.profile);
  const { keyring, random, algorithm } = parts;
  const now = parts.clock.now();
  const batch = newBatch();
  const act = { keyring, now, random, caller: caller.id };
  const domain: Domain = { trustDomain, state: 'active', profile: input.profile, createdAt: now, createdBy: caller.id };
  insertDomain(batch, domain);
  const { root, signing } = await makeDomainAuthorities(batch, { trustDomain, algorithm }, act);
  const { mostSeconds, keys, most } = input.profile;
  record(batch, 'domain.created', domain, {
    caller: caller.id,
    profile: { most_seconds: mostSeconds, keys, most },
    certificates: [root, signing].map(textOf),
  });
  batch.bumpsEpoch = true;
  if (dryRun !== true) committed(await parts.commit(batch));
  return { domain, authorities: [root, signing] };
}

/**
 * Signs a subordinate authority of a further trust domain for the key in a request (DER), within the profile that was
 * agreed to. Nothing of the request is taken but the key; one that asks for a name of another trust domain, ours above all, is
 * refused and that is recorded. It is on the ledger before anybody has it.
 *
 * Throws `not_found`, `denied`, `bad_csr`, `bad_request`, `inactive`, `key_in_use`, `conflict`.
 */
export async function signDomainAuthority(
  caller: Caller,
  input: { readonly trustDomain: string; readonly csr: Uint8Array; readonly lifetime?: number },
  parts: DomainParts,
): Promise<{ readonly authority: DomainAuthority; readonly above: readonly DomainAuthority[] }> {
  const { reader, keyring, random, clock } = parts;
  const csr = parseCsr(input.csr);
  verifyCsr(csr);
  const { domain, authorities } = await known(input.trustDomain, reader);
  const { profile, trustDomain } = domain;
  const lifetime = input.lifetime ?? profile.mostSeconds;
  demand(parts.authorize, {
    ...{ caller, action: 'domain.sign', resource: INSTALLATION },
    context: { trustDomain, lifetimeSeconds: lifetime },
  });
  try {
    if (domain.state === 'closed')
      throw new WritError('inactive', 'The trust domain is closed: nothing is signed in it.');
    requireNames(csr, trustDomain);
    requireFit(csr, lifetime, profile);
    await requireForeignKey(csr, authorities, parts);
  } catch (error) {
    await recordRefused(error, caller, trustDomain, parts);
    throw error;
  }
  const above = authorities.filter(({ kind }) => kind !== 'subordinate');
  const signing = above.find(({ kind }) => kind === 'intermediate')!;
  const now = clock.now();
  const act = { reader, keyring, now, random, caller: caller.id };
  // From here on it exists in memory, and nobody has seen it.
  const authority = await signSubordinate({ signing, above, key: csr.publicKey, lifetime }, act);
  const batch = newBatch();
  requireRoom(batch, domain, now);
  insertDomainAuthority(batch, authority);
  record(batch, 'domain.signed', domain, {
    caller: caller.id,
    authority: authority.id,
    certificate: textOf(authority),
  });
  committed(await parts.commit(batch));
  return { authority, above };
}

/** Ends a further trust domain: its keys are deleted, and what was signed lives on until it expires. */
export async function closeDomain(caller: Caller, trustDomain: string, parts: DomainParts): Promise<ShownDomain> {
  demand(parts.authorize, {
    ...{ caller, action: 'domain.close', resource: INSTALLATION },
    context: { trustDomain },
  });
  const { domain, authorities } = await known(trustDomain, parts.reader);
  if (domain.state === 'closed') return { domain, authorities };
  const batch = newBatch();
  pushClosed(batch, parts.keyring, domain, authorities);
  record(batch, 'domain.closed', domain, { caller: caller.id });
  batch.bumpsEpoch = true;
  committed(await parts.commit(batch));
  return { domain: { ...domain, state: 'closed' }, authorities };
}

export async function showDomains(
  caller: Caller,
  { reader, authorize }: Pick<DomainParts, 'reader' | 'authorize'>,
): Promise<ShownDomain[]> {
  demand(authorize, { caller, action: 'domain.read', resource: INSTALLATION });
  const domains = await listDomains(reader);
  return Promise.all(
    domains.map(async (domain) => ({ domain, authorities: await domainAuthorities(reader, domain.trustDomain) })),
  );
}

export async function showDomain(
  caller: Caller,
  trustDomain: string,
  { reader, authorize }: Pick<DomainParts, 'reader' | 'authorize'>,
): Promise<ShownDomain> {
  demand(authorize, { caller, action: 'domain.read', resource: INSTALLATION });
  return known(trustDomain, reader);
}

async function known(trustDomain: string, reader: Reader): Promise<ShownDomain> {
  const domain = await readDomain(reader, trustDomain);
  if (domain !== undefined) return { domain, authorities: await domainAuthorities(reader, trustDomain) };
  throw new WritError('not_found', 'The root of this trust domain is not here.', {
    field: '{trust_domain}',
    remedy: 'See "writ domain list".',
  });
}

function requireProfile({ mostSeconds, keys, most }: SubordinateProfile): void {
  const wrong =
    mostSeconds < 300 || mostSeconds > MOST_SECONDS
      ? `Subordinate authorities live 300 to ${MOST_SECONDS} seconds.`
      : keys.length === 0 || keys.some((key) => !KEYS.includes(key))
        ? `Their keys are of: ${KEYS.join(', ')}.`
        : most < 1 || most > MOST_SUBORDINATES
          ? `There are 1 to ${MOST_SUBORDINATES} of them at a time.`
          : undefined;
  if (wrong !== undefined)
    throw new WritError('bad_request', 'The profile is not one.', { field: '/profile', remedy: wrong });
}

/** Kinds of key that a subordinate authority may have. */
export const KEYS: readonly string[] = ['ec-p256', 'ec-p384', 'ed25519', 'ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'];

/** What a request asks for is not granted, but says what its sender means to be. */
function requireNames({ extensions }: Csr, trustDomain: TrustDomain): void {
  const names = findExtension(extensions, SUBJECT_ALT_NAME);
  for (const name of names === undefined ? [] : decodeSubjectAltName(names.value)) {
    if (name.kind === 'uri' && isOf(name.value, trustDomain)) continue;
    throw new WritError('denied', 'The request asks for a name that is not that of the trust domain.', {
      field: '/csr',
      remedy: `Ask for spiffe://${trustDomain} or for no name.`,
    });
  }
}

function isOf(uri: string, trustDomain: TrustDomain): boolean {
  try {
    const id = parseSpiffeId(uri.replace(/\/$/, ''));
    return id.trustDomain === trustDomain && id.segments.length === 0;
  } catch (error) {
    if (isWritError(error)) return false;
    throw error;
  }
}

function requireFit({ publicKey }: Csr, lifetime: number, { mostSeconds, keys }: SubordinateProfile): void {
  if (!keys.includes(publicKey.algorithm)) {
    throw new WritError('bad_csr', `The profile takes no keys of kind ${publicKey.algorithm}.`, {
      field: '/csr',
      remedy: `Make a key of kind ${keys.join(', ')}.`,
    });
  }
  if (Number.isInteger(lifetime) && lifetime >= 60 && lifetime <= mostSeconds) return;
  throw new WritError('bad_request', 'The lifetime is not one that the profile gives.', {
    field: '/lifetime_seconds',
    remedy: `Ask for a whole number of seconds from 60 to ${mostSeconds}.`,
  });
}

/** No key of ours, and none above it, is that of an authority of somebody else. */
async function requireForeignKey(
  { publicKey }: Csr,
  authorities: readonly DomainAuthority[],
  { own }: DomainParts,
): Promise<void> {
  const ours = [
    ...(await own()).keys,
    ...authorities.filter(({ kind }) => kind !== 'subordinate').map(({ certificate }) => certificate.spki),
  ];
  if (!ours.some((spki) => Buffer.compare(spki, publicKey.spki) === 0)) return;
  throw new WritError('key_in_use', 'The key is that of an authority of this installation.', {
    field: '/csr',
    remedy: 'Make a new key pair where the subordinate authority runs.',
  });
}

/** A refusal of what a request asks for; of who asks, policy has one of its own. */
async function recordRefused(
  error: unknown,
  { id: by }: Caller,
  trustDomain: TrustDomain,
  { recordRefusal }: DomainParts,
): Promise<void> {
  if (!isWritError(error)) return;
  await recordRefusal({
    ...{ type: 'access.refused', by, code: error.code, subjects: [`domain:${trustDomain}`] },
    body: { action: 'domain.sign', reasons: [error.message] },
  });
}

function record(batch: Batch, type: string, { trustDomain }: Domain, body: Readonly<Record<string, JsonValue>>): void {
  batch.events.push({ type, subjects: [`domain:${trustDomain}`], body: { ...body, trust_domain: trustDomain } });
}

function textOf({ certificate }: DomainAuthority): string {
  return Buffer.from(certificate.raw).toString('base64url');
}
