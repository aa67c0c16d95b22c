import type { Batch } from '../../db/batch.ts';
import type { Reader, Row } from '../../db/database.ts';
import { deleteKey, type Keyring } from '../../keys/keyring.ts';
import type { TrustDomain } from '../../spiffe-id/trust-domain.ts';
import { type Certificate, parseCertificate } from '../../x509/certificate.ts';
import type { Cause } from '../revocation-cause.ts';

/** What keys of authorities of further trust domains are sealed for. Stored; never changes. */
export const DOMAIN_KEY = 'domain-authority';

/** What subordinate authorities of a trust domain may be. Agreed to once, with the trust domain itself. */
export interface SubordinateProfile {
  /** Seconds that one lives at most. */
  readonly mostSeconds: number;
  /** Kinds of key that one may have, e.g. `ec-p256`. */
  readonly keys: readonly string[];
  /** How many may be valid at a time. */
  readonly most: number;
}

/** A further trust domain whose root lies here. All times in milliseconds. */
export interface Domain {
  readonly trustDomain: TrustDomain;
  readonly state: 'active' | 'closed';
  readonly profile: SubordinateProfile;
  /** `spiffe_sequence` of its bundle. Grows whenever another root is in it, or one less. */
  readonly sequence: number;
  readonly createdAt: number;
  readonly createdBy: string;
}

/**
 * - `next`: a root that is published and signs nothing yet.
 * - `active`: signs; of roots and of intermediates one each. Whatever is subordinate is active until it is revoked.
 * - `retired`: signs lists alone; a root is still published, for what it signed.
 * - `ended`: its key is deleted, and a root is published no more.
 */
export type DomainAuthorityState = 'next' | 'active' | 'retired' | 'ended';

export interface DomainAuthority {
  /** Also that of its key, where that is here. */
  readonly id: string;
  readonly trustDomain: TrustDomain;
  readonly kind: 'root' | 'intermediate' | 'subordinate';
  readonly state: DomainAuthorityState;
  /** When a root that is `next` takes over. */
  readonly signsFrom?: number;
  readonly revoked?: { readonly at: number; readonly cause: Cause };
  readonly certificate: Certificate;
  readonly issuer?: string;
  readonly createdAt: number;
  readonly createdBy: string;
}

export async function listDomains(reader: Reader): Promise<Domain[]> {
  return (await reader.all('SELECT * FROM domain ORDER BY trust_domain')).map(domainOf);
}

export async function readDomain(reader: Reader, trustDomain: string): Promise<Domain | undefined> {
  const row = await reader.get('SELECT * FROM domain WHERE trust_domain = ?', [trustDomain]);
  return row === undefined ? undefined : domainOf(row);
}

/** Its authorities, but for subordinate ones that expired before `since` (milliseconds); the oldest first. */
export async function domainAuthorities(
  reader: Reader,
  trustDomain: string,
  since: number,
): Promise<DomainAuthority[]> {
  const sql =
    "SELECT * FROM domain_authority WHERE trust_domain = ? AND (kind <> 'subordinate' OR not_after >= ?) " +
    'ORDER BY created_at, id';
  return (await reader.all(sql, [trustDomain, since])).map(authorityOf);
}

function domainOf(row: Row): Domain {
  return {
    trustDomain: row['trust_domain'] as TrustDomain,
    state: row['state'] as Domain['state'],
    profile: JSON.parse(row['profile'] as string) as SubordinateProfile,
    sequence: row['sequence'] as number,
    createdAt: row['created_at'] as number,
    createdBy: row['created_by'] as string,
  };
}

function authorityOf(row: Row): DomainAuthority {
  return {
    id: row['id'] as string,
    trustDomain: row['trust_domain'] as TrustDomain,
    kind: row['kind'] as DomainAuthority['kind'],
    state: row['state'] as DomainAuthorityState,
    ...(row['signs_from'] === null ? {} : { signsFrom: row['signs_from'] as number }),
    ...(row['revoked_at'] === null
      ? {}
      : { revoked: { at: row['revoked_at'] as number, cause: row['cause'] as Cause } }),
    certificate: parseCertificate(row['certificate'] as Uint8Array),
    ...(row['issuer'] === null ? {} : { issuer: row['issuer'] as string }),
    createdAt: row['created_at'] as number,
    createdBy: row['created_by'] as string,
  };
}

/** Refused with `conflict` where there is, or was, one of that name: two roots of one name help nobody. */
export function insertDomain(batch: Batch, domain: Domain): void {
  const { trustDomain, state, profile, sequence, createdAt, createdBy } = domain;
  batch.checks.push({
    sql: 'SELECT 1 AS found FROM domain WHERE trust_domain = ?',
    params: [trustDomain],
    want: 'absent',
    refusal: 'conflict',
    reason: 'This trust domain is here already, or was.',
  });
  batch.writes.push({
    sql: 'INSERT INTO domain (trust_domain, state, profile, sequence, created_at, created_by) VALUES (?, ?, ?, ?, ?, ?)',
    params: [trustDomain, state, JSON.stringify(profile), sequence, createdAt, createdBy],
  });
}

/** One that is there already, as after a restore, stays as it is. */
export function insertDomainAuthority(batch: Batch, authority: DomainAuthority): void {
  const { id, trustDomain, kind, state, signsFrom, certificate, issuer, createdAt, createdBy } = authority;
  batch.writes.push({
    sql:
      'INSERT INTO domain_authority (id, trust_domain, kind, state, signs_from, certificate, issuer, not_after, ' +
      'created_at, created_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING',
    params: [
      ...[id, trustDomain, kind, state, signsFrom ?? null],
      ...[certificate.raw, issuer ?? null, certificate.notAfter, createdAt, createdBy],
    ],
  });
}

/** Pushes that an authority is in another state; refused where it is not in the one that it was seen in. */
export function changeState(batch: Batch, { id, state }: DomainAuthority, to: DomainAuthorityState): void {
  batch.checks.push({
    sql: 'SELECT 1 AS found FROM domain_authority WHERE id = ? AND state = ?',
    params: [id, state],
    want: 'present',
    refusal: 'conflict',
    reason: 'Another process changed the authorities of this trust domain.',
  });
  batch.writes.push({ sql: 'UPDATE domain_authority SET state = ? WHERE id = ?', params: [to, id] });
}

/** Pushes the end of an authority's key. */
export function endAuthority(batch: Batch, keyring: Keyring, authority: DomainAuthority): void {
  changeState(batch, authority, 'ended');
  if (authority.kind !== 'subordinate') deleteKey(batch, keyring, authority.id);
}

/** Pushes that an authority is revoked, which it stays; the first revocation counts. */
export function markRevoked(batch: Batch, id: string, { at, cause }: NonNullable<DomainAuthority['revoked']>): void {
  batch.writes.push({
    sql: 'UPDATE domain_authority SET revoked_at = ?, cause = ? WHERE id = ? AND revoked_at IS NULL',
    params: [at, cause, id],
  });
}

/**
 * Pushes that the bundle holds other roots from now on, and gives its sequence. Refused with `conflict` where another process
 * published meanwhile, so that each number stands for one set.
 */
export function publishRoots(batch: Batch, { trustDomain, sequence }: Domain, now: number): number {
  const next = Math.max(now, sequence + 1);
  batch.checks.push({
    sql: 'SELECT 1 AS found FROM domain WHERE trust_domain = ? AND sequence = ?',
    params: [trustDomain, sequence],
    want: 'present',
    refusal: 'conflict',
    reason: 'Another process published the bundle of this trust domain.',
  });
  batch.writes.push({ sql: 'UPDATE domain SET sequence = ? WHERE trust_domain = ?', params: [next, trustDomain] });
  batch.bumpsEpoch = true;
  return next;
}

/** Writes after which no bundle of a further trust domain has a number that may have been given out in a tail that was lost. */
export function aboveLostSequences(now: number): Batch['writes'] {
  return [{ sql: 'UPDATE domain SET sequence = ? WHERE sequence < ?', params: [now, now] }];
}

/** The commit looks again: the domain is open. */
export function requireOpen(
  batch: Batch,
  { trustDomain }: Domain,
  refusal: 'inactive' | 'conflict' = 'inactive',
): void {
  batch.checks.push({
    sql: "SELECT 1 AS found FROM domain WHERE trust_domain = ? AND state = 'active'",
    params: [trustDomain],
    want: 'present',
    refusal,
    reason: 'The trust domain was closed meanwhile.',
  });
}

/** The commit looks again: whoever signed may do so still, and there is room for one more subordinate authority. */
export function requireRoom(batch: Batch, { trustDomain, profile }: Domain, signing: string, now: number): void {
  batch.checks.push(
    {
      sql: "SELECT 1 AS found FROM domain_authority WHERE id = ? AND state = 'active'",
      params: [signing],
      want: 'present',
      refusal: 'conflict',
      reason: 'The authority that signs was followed by another meanwhile.',
    },
    {
      sql:
        "SELECT 1 AS found FROM domain_authority WHERE trust_domain = ? AND kind = 'subordinate' AND not_after > ? " +
        `AND state = 'active' LIMIT 1 OFFSET ${profile.most - 1}`,
      params: [trustDomain, now],
      want: 'absent',
      refusal: 'conflict',
      reason: `The profile allows ${profile.most} subordinate authorities at a time, and there are so many.`,
    },
  );
}
