import type { Authorize, Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import { type Batch, type CommitBatch, newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import type { Reader } from '../db/database.ts';
import type { Idempotency, Json } from '../http/idempotency.ts';
import { type AddressRule, parseOutboundUrl } from '../http/outbound-address.ts';
import type { RecordRefusal } from '../issuance/refusals.ts';
import { parseSpiffeId } from '../spiffe-id/spiffe-id.ts';
import { parseTrustDomain, type TrustDomain } from '../spiffe-id/trust-domain.ts';
import {
  deleteFederation,
  type EndpointProfile,
  type Federation,
  type FederationFault,
  giveBundle,
  insertFederation,
  listFederations,
  MOST_FEDERATIONS,
  pollAtOnce,
  readFederation,
  type StoredBundle,
} from './federation.ts';
import { describeBundle, judgeBundle, type OwnTrust } from './judge-bundle.ts';

export interface FederationParts {
  readonly reader: Reader;
  readonly authorize: Authorize;
  readonly commit: CommitBatch;
  readonly clock: { now(): number };
  readonly allowed: AddressRule;
  readonly own: () => Promise<OwnTrust>;
  readonly recordRefusal: RecordRefusal;
}

export interface ManageOptions {
  readonly idempotency?: Idempotency | undefined;
  readonly dryRun?: boolean | undefined;
}

/** Whom to believe, and how to learn what of them (SPIFFE Federation §5.1). None of it is guessed from the others (§7.2). */
export interface FederationInput {
  readonly trustDomain: string;
  readonly url: string;
  readonly profile: EndpointProfile;
  readonly endpointId?: string;
  /** The bundle as it is known now, as text. */
  readonly bundle?: string;
}

const INSTALLATION = { type: 'Installation', id: 'writ' } as const;

/**
 * Has SVIDs of another trust domain believed from now on. Its bundle is the one that is given, if any, until the first one
 * is fetched, which is tried at once. Throws `bad_request`, `bad_spiffe_id`, `denied`, `needs_approval`, `conflict`.
 */
export async function addFederation(
  caller: Caller,
  input: FederationInput,
  parts: FederationParts,
  { idempotency, dryRun }: ManageOptions = {},
): Promise<Federation> {
  const trustDomain = parseTrustDomain(input.trustDomain, '/trust_domain');
  demandChange(caller, trustDomain, 'add', parts);
  const first = await idempotency?.first();
  if (first?.kind === 'value') return first.value as unknown as Federation;
  const own = await parts.own();
  if (trustDomain === own.trustDomain) {
    const claim = new WritError('bad_request', 'This is the trust domain of this installation.', {
      field: '/trust_domain',
      remedy: 'Federate with another one.',
    });
    await recordClaim(claim, caller, trustDomain, parts);
    throw claim;
  }
  requireUrl(input.url, parts.allowed);
  const endpointId = endpointOf(input, trustDomain);
  const all = await listFederations(parts.reader);
  if (all.length >= MOST_FEDERATIONS) throw new WritError('conflict', `There are ${all.length} federations already.`);
  if (endpointId !== undefined && input.bundle === undefined) requireKnown(endpointId, trustDomain, all);
  const now = parts.clock.now();
  const bundle = input.bundle === undefined ? undefined : await givenBundle(caller, trustDomain, input.bundle, parts);
  const made: Federation = {
    trustDomain,
    url: input.url,
    profile: input.profile,
    ...(endpointId === undefined ? {} : { endpointId }),
    ...(bundle === undefined ? {} : { bundle, bundleAt: now, source: 'given' }),
    pollAt: now,
    createdAt: now,
    createdBy: caller.id,
    version: 1,
  };
  const batch = newBatch();
  insertFederation(batch, made);
  record(batch, 'federation.added', made.trustDomain, {
    caller: caller.id,
    url: made.url,
    profile: made.profile,
    ...(endpointId === undefined ? {} : { endpoint_id: endpointId }),
  });
  if (bundle !== undefined) recordBundle(batch, caller.id, trustDomain, { bundle, source: 'given' });
  batch.bumpsEpoch = true;
  idempotency?.keep(batch, { kind: 'value', value: made as unknown as Json });
  if (dryRun !== true) committed(await parts.commit(batch));
  return made;
}

/**
 * Puts a bundle in by hand; it is the latest until the next one is fetched (SPIFFE Federation §4.2), whatever its sequence:
 * that is how a trust domain comes back that had to begin again. Throws as `addFederation`, and `not_found`.
 */
export async function replaceBundle(
  caller: Caller,
  { trustDomain, bundle: text }: { readonly trustDomain: string; readonly bundle: string },
  parts: FederationParts,
  { idempotency }: ManageOptions = {},
): Promise<Federation> {
  demandChange(caller, trustDomain, 'replace', parts);
  const first = await idempotency?.first();
  if (first?.kind === 'value') return first.value as unknown as Federation;
  const before = await known(trustDomain, parts.reader);
  const bundle = await givenBundle(caller, before.trustDomain, text, parts);
  const now = parts.clock.now();
  const { fault: _, ...rest } = before;
  const after: Federation = { ...rest, bundle, bundleAt: now, source: 'given', pollAt: now };
  const batch = newBatch();
  giveBundle(batch, before.trustDomain, bundle, now);
  recordBundle(batch, caller.id, before.trustDomain, { bundle, source: 'given' });
  batch.bumpsEpoch = true;
  idempotency?.keep(batch, { kind: 'value', value: after as unknown as Json });
  committed(await parts.commit(batch));
  return after;
}

/** Has the bundle fetched at once. Throws `denied`, `not_found`, `conflict`. */
export async function refreshFederation(
  caller: Caller,
  trustDomain: string,
  parts: FederationParts,
): Promise<Federation> {
  demandChange(caller, trustDomain, 'refresh', parts);
  const before = await known(trustDomain, parts.reader);
  const batch = newBatch();
  const pollAt = parts.clock.now();
  pollAtOnce(batch, before.trustDomain, pollAt);
  committed(await parts.commit(batch));
  return { ...before, pollAt };
}

/** Has nothing of that trust domain believed any more (SPIFFE Federation §6.3). Gives it as it was. */
export async function removeFederation(
  caller: Caller,
  trustDomain: string,
  parts: FederationParts,
  { idempotency, dryRun }: ManageOptions = {},
): Promise<Federation> {
  demandChange(caller, trustDomain, 'remove', parts);
  const first = await idempotency?.first();
  if (first?.kind === 'value') return first.value as unknown as Federation;
  const before = await known(trustDomain, parts.reader);
  const batch = newBatch();
  deleteFederation(batch, before.trustDomain);
  record(batch, 'federation.removed', before.trustDomain, { caller: caller.id });
  // No older backup brings it back.
  batch.anchored = true;
  batch.bumpsEpoch = true;
  idempotency?.keep(batch, { kind: 'value', value: before as unknown as Json });
  if (dryRun !== true) committed(await parts.commit(batch));
  return before;
}

export async function showFederations(
  caller: Caller,
  { reader, authorize }: Pick<FederationParts, 'reader' | 'authorize'>,
): Promise<Federation[]> {
  demand(authorize, { caller, action: 'federation.read', resource: INSTALLATION });
  return listFederations(reader);
}

export async function showFederation(
  caller: Caller,
  trustDomain: string,
  { reader, authorize }: Pick<FederationParts, 'reader' | 'authorize'>,
): Promise<Federation> {
  demand(authorize, { caller, action: 'federation.read', resource: INSTALLATION });
  return known(trustDomain, reader);
}

/** Pushes the entry of a bundle that counts from now on. */
export function recordBundle(
  batch: Batch,
  caller: string,
  trustDomain: TrustDomain,
  { bundle, source }: { readonly bundle: StoredBundle; readonly source: 'fetched' | 'given' },
): void {
  record(batch, 'federation.bundle_changed', trustDomain, { caller, source, ...describeBundle(bundle) });
}

export function record(
  batch: Batch,
  type: string,
  trustDomain: TrustDomain,
  body: Readonly<Record<string, string | number | readonly string[]>>,
): void {
  batch.events.push({ type, subjects: [`federation:${trustDomain}`], body: { ...body, trust_domain: trustDomain } });
}

function demandChange(
  caller: Caller,
  trustDomain: string,
  change: 'add' | 'replace' | 'refresh' | 'remove',
  { authorize }: FederationParts,
): void {
  demand(authorize, {
    ...{ caller, action: 'federation.manage', resource: INSTALLATION },
    context: { trustDomain, change },
  });
}

async function known(trustDomain: string, reader: Reader): Promise<Federation> {
  const found = await readFederation(reader, trustDomain);
  if (found !== undefined) return found;
  throw new WritError('not_found', 'There is no federation with this trust domain.', {
    field: '{trust_domain}',
    remedy: 'See "writ federation list".',
  });
}

function requireUrl(text: string, allowed: AddressRule): void {
  const url = parseOutboundUrl(text, { allowHttp: false, allowNetworks: [] }, allowed);
  if (url instanceof URL) return;
  throw url === 'form'
    ? new WritError('bad_request', 'The URL is not one that a bundle can be fetched at.', {
        field: '/url',
        remedy: 'Give an https:// URL without user, password and fragment.',
      })
    : new WritError('bad_request', 'The URL has an address that requests may not go to.', {
        field: '/url',
        remedy: 'Whoever runs the server can allow its network with federation.allowNetworks.',
      });
}

/** SPIFFE Federation §5.2.2.2. Throws `bad_request` and `bad_spiffe_id`. */
function endpointOf({ profile, endpointId }: FederationInput, trustDomain: TrustDomain): string | undefined {
  if (profile === 'https_web') {
    if (endpointId === undefined) return undefined;
    throw new WritError('bad_request', 'A server of the profile https_web has no SPIFFE ID.', {
      field: '/endpoint_id',
      remedy: 'Leave it out, or give the profile https_spiffe.',
    });
  }
  if (endpointId === undefined) {
    throw new WritError('bad_request', 'The profile https_spiffe needs the SPIFFE ID of the endpoint’s server.', {
      field: '/endpoint_id',
      remedy: `Ask whoever runs it, e.g. spiffe://${trustDomain}/spire/server or spiffe://${trustDomain}/writ/server.`,
    });
  }
  const id = parseSpiffeId(endpointId, '/endpoint_id');
  if (id.segments.length > 0) return id.uri;
  throw new WritError('bad_spiffe_id', 'The SPIFFE ID of a server has a path.', { field: '/endpoint_id' });
}

/** Without a bundle to begin with, the server is known only if its trust domain is another that is known already. */
function requireKnown(endpointId: string, trustDomain: TrustDomain, all: readonly Federation[]): void {
  const server = parseSpiffeId(endpointId).trustDomain;
  if (server !== trustDomain && all.some((one) => one.trustDomain === server)) return;
  throw new WritError('bad_request', 'Nothing is known by which the endpoint’s server could prove who it is.', {
    field: '/bundle',
    remedy:
      server === trustDomain
        ? 'Give the bundle of that trust domain as it is now, which came to you in another way.'
        : 'Federate with the trust domain of the server first.',
  });
}

async function givenBundle(
  caller: Caller,
  trustDomain: TrustDomain,
  text: string,
  parts: Pick<FederationParts, 'own' | 'recordRefusal'>,
): Promise<StoredBundle> {
  const judged = judgeBundle(Buffer.from(text, 'utf8'), undefined, await parts.own());
  if (judged.taken) return judged.bundle;
  const refused = new WritError('bad_request', GIVEN_FAULTS[judged.fault] ?? 'The bundle cannot be used.', {
    field: '/bundle',
    remedy: 'Give a SPIFFE bundle (JSON), as the endpoint of that trust domain serves it.',
  });
  if (judged.fault === 'own_domain') await recordClaim(refused, caller, trustDomain, parts);
  throw refused;
}

/** Whoever has others speak for our trust domain is on record, also where a person would have put it in. */
function recordClaim(
  { code, message }: WritError,
  { id: by }: Caller,
  trustDomain: TrustDomain,
  { recordRefusal }: Pick<FederationParts, 'recordRefusal'>,
): Promise<void> {
  return recordRefusal({
    ...{ type: 'access.refused', by, code, fault: 'own_domain', subjects: [`federation:${trustDomain}`] },
    body: { action: 'federation.manage', reasons: [message] },
  });
}

const GIVEN_FAULTS: Partial<Record<FederationFault, string>> = {
  malformed: 'The bundle is no SPIFFE bundle.',
  own_domain: 'The bundle has a key of this installation, or an authority that names its trust domain.',
};
