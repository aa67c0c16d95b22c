import type { Authorize, Caller } from '../../base/access.ts';
import { demand } from '../../base/demand.ts';
import { WritError } from '../../base/error.ts';
import type { Random } from '../../base/random.ts';
import {
  type Domain,
  type DomainAuthority,
  domainAuthorities,
  listDomains,
  readDomain,
} from '../../ca/domain/domain.ts';
import { domainLists, LEFT_AFTER } from '../../ca/domain/list.ts';
import type { DomainMeans } from '../../ca/domain/make.ts';
import type { StoredCrl } from '../../ca/hierarchy.ts';
import type { CommitBatch } from '../../db/batch.ts';
import type { Reader } from '../../db/database.ts';
import type { RecordRefusal } from '../../issuance/refusals.ts';
import type { KeyAlgorithm } from '../../keys/generate.ts';
import type { Keyring } from '../../keys/keyring.ts';
import type { OwnTrust } from '../judge-bundle.ts';

/** What keeping the authorities of further trust domains takes. */
export interface DomainKeepParts {
  readonly reader: Reader;
  readonly commit: CommitBatch;
  readonly keyring: Keyring;
  readonly clock: { now(): number };
  readonly random: Random;
  readonly algorithm: KeyAlgorithm;
  /** Where lists are served (`STATUS_PATHS`). */
  readonly statusUrl: string;
}

export interface DomainParts extends DomainKeepParts {
  readonly authorize: Authorize;
  readonly own: () => Promise<OwnTrust>;
  /** DNS names at and below which certificates of ours may have names. */
  readonly dnsNames: readonly string[];
  readonly recordRefusal: RecordRefusal;
}

/** A domain with its authorities. */
export interface ShownDomain {
  readonly domain: Domain;
  readonly authorities: readonly DomainAuthority[];
}

type ReadParts = Pick<DomainParts, 'reader' | 'authorize' | 'clock'>;

export const INSTALLATION = { type: 'Installation', id: 'writ' } as const;

export async function showDomains(caller: Caller, { authorize, ...parts }: ReadParts): Promise<ShownDomain[]> {
  demand(authorize, { caller, action: 'domain.read', resource: INSTALLATION });
  const domains = await listDomains(parts.reader);
  return Promise.all(
    domains.map(async (domain) => ({ domain, authorities: await authoritiesOf(domain.trustDomain, parts) })),
  );
}

export async function showDomain(
  caller: Caller,
  trustDomain: string,
  { authorize, ...parts }: ReadParts,
): Promise<ShownDomain> {
  demand(authorize, { caller, action: 'domain.read', resource: INSTALLATION });
  return known(trustDomain, parts);
}

/** A domain with its authorities; throws `not_found`. */
export async function known(
  trustDomain: string,
  parts: Pick<DomainKeepParts, 'reader' | 'clock'>,
): Promise<ShownDomain> {
  const domain = await readDomain(parts.reader, trustDomain);
  if (domain !== undefined) return { domain, authorities: await authoritiesOf(trustDomain, parts) };
  throw new WritError('not_found', 'The root of this trust domain is not here.', {
    field: '{trust_domain}',
    remedy: 'See "writ domain list".',
  });
}

/** The same, with the newest lists. */
export async function stateOf(
  trustDomain: string,
  parts: Pick<DomainKeepParts, 'reader' | 'clock'>,
): Promise<ShownDomain & { readonly lists: readonly StoredCrl[] }> {
  const shown = await known(trustDomain, parts);
  return { ...shown, lists: await domainLists(parts.reader, shown.authorities) };
}

/** Those that may stand on a list. */
function authoritiesOf(
  trustDomain: string,
  { reader, clock }: Pick<DomainKeepParts, 'reader' | 'clock'>,
): Promise<DomainAuthority[]> {
  return domainAuthorities(reader, trustDomain, clock.now() - LEFT_AFTER);
}

/** What making an authority takes, of a flow's parts. */
export function meansOf(
  { reader, keyring, random, algorithm, statusUrl, clock }: DomainKeepParts,
  caller: string,
): DomainMeans & { readonly reader: Reader } {
  return { reader, keyring, random, algorithm, statusUrl, now: clock.now(), caller };
}
