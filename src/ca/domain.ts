import { WritError } from '../base/error.ts';
import type { Batch } from '../db/batch.ts';
import type { Reader, Row } from '../db/database.ts';
import { deleteKey, type Keyring } from '../keys/keyring.ts';
import type { TrustDomain } from '../spiffe-id/trust-domain.ts';
import { type Certificate, parseCertificate } from '../x509/certificate.ts';

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

/** A further trust domain whose root lies here. Times in milliseconds. */
export interface Domain {
  readonly trustDomain: TrustDomain;
  readonly state: 'active' | 'closed';
  readonly profile: SubordinateProfile;
  readonly createdAt: number;
  readonly createdBy: string;
}

export interface DomainAuthority {
  /** Also that of its key, where that is here. */
  readonly id: string;
  readonly trustDomain: TrustDomain;
  readonly kind: 'root' | 'intermediate' | 'subordinate';
  readonly certificate: Certificate;
  readonly issuer?: string;
  readonly createdAt: number;
  readonly createdBy: string;
}

/**
 * A further trust domain has nothing to do with our own: it is not the same, not above it and not below it. Of one above, some
 * validators take the constraints to hold for ours as well; one below has DNS names that agents of ours have. Throws
 * `bad_request`.
 */
export function requireUnrelated(own: TrustDomain, other: TrustDomain): void {
  if (own !== other && !own.endsWith(`.${other}`) && !other.endsWith(`.${own}`)) return;
  throw new WritError('bad_request', 'The trust domain is that of this installation, or above or below it.', {
    field: '/trust_domain',
    remedy: 'Give one whose name has nothing to do with it, like partners.example beside agents.example.com.',
  });
}

export async function listDomains(reader: Reader): Promise<Domain[]> {
  return (await reader.all('SELECT * FROM domain ORDER BY trust_domain')).map(domainOf);
}

export async function readDomain(reader: Reader, trustDomain: string): Promise<Domain | undefined> {
  const row = await reader.get('SELECT * FROM domain WHERE trust_domain = ?', [trustDomain]);
  return row === undefined ? undefined : domainOf(row);
}

/** Its authorities, the oldest first. */
export async function domainAuthorities(reader: Reader, trustDomain: string): Promise<DomainAuthority[]> {
  const sql = 'SELECT * FROM domain_authority WHERE trust_domain = ? ORDER BY created_at, id';
  return (await reader.all(sql, [trustDomain])).map(authorityOf);
}

function domainOf(row: Row): Domain {
  return {
    trustDomain: row['trust_domain'] as TrustDomain,
    state: row['state'] as Domain['state'],
    profile: JSON.parse(row['profile'] as string) as SubordinateProfile,
    createdAt: row['created_at'] as number,
    createdBy: row['created_by'] as string,
  };
}

function authorityOf(row: Row): DomainAuthority {
  return {
    id: row['id'] as string,
    trustDomain: row['trust_domain'] as TrustDomain,
    kind: row['kind'] as DomainAuthority['kind'],
    certificate: parseCertificate(row['certificate'] as Uint8Array),
    ...(row['issuer'] === null ? {} : { issuer: row['issuer'] as string }),
    createdAt: row['created_at'] as number,
    createdBy: row['created_by'] as string,
  };
}

/** Refused with `conflict` where there is, or was, one of that name: two roots of one name help nobody. */
export function insertDomain(batch: Batch, { trustDomain, state, profile, createdAt, createdBy }: Domain): void {
  batch.checks.push({
    sql: 'SELECT 1 AS found FROM domain WHERE trust_domain = ?',
    params: [trustDomain],
    want: 'absent',
    refusal: 'conflict',
    reason: 'This trust domain is here already, or was.',
  });
  batch.writes.push({
    sql: 'INSERT INTO domain (trust_domain, state, profile, created_at, created_by) VALUES (?, ?, ?, ?, ?)',
    params: [trustDomain, state, JSON.stringify(profile), createdAt, createdBy],
  });
}

export function insertDomainAuthority(batch: Batch, authority: DomainAuthority): void {
  const { id, trustDomain, kind, certificate, issuer, createdAt, createdBy } = authority;
  batch.writes.push({
    sql:
      'INSERT INTO domain_authority (id, trust_domain, kind, certificate, issuer, not_after, created_at, created_by) ' +
      'VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
    params: [id, trustDomain, kind, certificate.raw, issuer ?? null, certificate.notAfter, createdAt, createdBy],
  });
}

/** The commit looks again: the domain is open, and has room for one more subordinate authority. */
export function requireRoom(batch: Batch, { trustDomain, profile }: Domain, now: number): void {
  batch.checks.push(
    {
      sql: "SELECT 1 AS found FROM domain WHERE trust_domain = ? AND state = 'active'",
      params: [trustDomain],
      want: 'present',
      refusal: 'inactive',
      reason: 'The trust domain was closed meanwhile.',
    },
    {
      sql:
        "SELECT 1 AS found FROM domain_authority WHERE trust_domain = ? AND kind = 'subordinate' AND not_after > ? " +
        `LIMIT 1 OFFSET ${profile.most - 1}`,
      params: [trustDomain, now],
      want: 'absent',
      refusal: 'conflict',
      reason: `The profile allows ${profile.most} subordinate authorities at a time, and there are so many.`,
    },
  );
}

/** Pushes that nothing is signed in a domain any more: its keys go. What was signed lives on until it expires. */
export function closeDomain(
  batch: Batch,
  keyring: Keyring,
  { trustDomain }: Domain,
  authorities: readonly DomainAuthority[],
): void {
  batch.checks.push({
    sql: "SELECT 1 AS found FROM domain WHERE trust_domain = ? AND state = 'active'",
    params: [trustDomain],
    want: 'present',
    refusal: 'conflict',
    reason: 'The trust domain was closed meanwhile.',
  });
  batch.writes.push({ sql: "UPDATE domain SET state = 'closed' WHERE trust_domain = ?", params: [trustDomain] });
  for (const { id, kind } of authorities) if (kind !== 'subordinate') deleteKey(batch, keyring, id);
}
