import type { Reader, Row } from '../db/database.ts';
import type { KeyAlgorithm } from '../keys/generate.ts';
import type { TrustDomain } from '../spiffe-id/trust-domain.ts';
import { parseCertificate } from '../x509/certificate.ts';
import type { Authority, AuthorityKind, AuthorityState } from './authority.ts';

/** All that is stored of the authorities of an installation. Plain data. */
export interface Hierarchy {
  readonly trustDomain: TrustDomain;
  /** Kind of key of new authorities. */
  readonly algorithm: KeyAlgorithm;
  /** Where the root's key is: sealed here, in a file elsewhere, or somebody else's. */
  readonly root: 'online' | 'offline' | 'external';
  /** DER of the NameConstraints that every authority carries. */
  readonly nameConstraints: Uint8Array;
  /** The oldest first. */
  readonly authorities: readonly Authority[];
  /** The newest list of each authority that has one. */
  readonly crls: readonly StoredCrl[];
  /** The intermediate that waits for its certificate from somebody else's root. */
  readonly request?: AuthorityRequestRow;
}

/** The newest list of an authority, of our own or of a further trust domain. */
export interface StoredCrl {
  readonly authority: string;
  readonly number: number;
  /** Milliseconds. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  readonly der: Uint8Array;
}

export interface AuthorityRequestRow {
  /** The id that the authority will have. */
  readonly authority: string;
  readonly keyId: string;
  /** DER. */
  readonly csr: Uint8Array;
  readonly createdAt: number;
}

const CRL_COLUMNS = 'authority, number, this_update, next_update, crl';

/** Reads the hierarchy; undefined in a database where none was made. */
export async function readHierarchy(reader: Reader): Promise<Hierarchy | undefined> {
  const row = await reader.get('SELECT trust_domain, algorithm, root, name_constraints FROM hierarchy WHERE id = 1');
  if (row === undefined) return undefined;
  const request = await reader.get('SELECT authority, key_id, csr, created_at FROM authority_request WHERE id = 1');
  const crls = await reader.all(`SELECT ${CRL_COLUMNS} FROM authority_crl`);
  return {
    trustDomain: row['trust_domain'] as TrustDomain,
    algorithm: row['algorithm'] as KeyAlgorithm,
    root: row['root'] as Hierarchy['root'],
    nameConstraints: row['name_constraints'] as Uint8Array,
    authorities: await readAuthorities(reader),
    crls: crls.map(crlOf),
    ...(request === undefined ? {} : { request: requestOf(request) }),
  };
}

/**
 * The authorities alone, the oldest first and of those made at once the upper one: what a process reads again when the
 * epoch moved.
 */
export async function readAuthorities(reader: Reader): Promise<Authority[]> {
  const rows = await reader.all(
    'SELECT id, kind, state, certificate, issuer, key_id, signs_until, created_at FROM authority ORDER BY created_at, ' +
      "CASE kind WHEN 'root' THEN 0 WHEN 'upstream' THEN 1 WHEN 'intermediate' THEN 2 ELSE 3 END, id",
  );
  return rows.map(authorityOf);
}

function authorityOf(row: Row): Authority {
  const issuer = row['issuer'] as string | null;
  const keyId = row['key_id'] as string | null;
  return {
    id: row['id'] as string,
    kind: row['kind'] as AuthorityKind,
    state: row['state'] as AuthorityState,
    certificate: parseCertificate(row['certificate'] as Uint8Array),
    ...(issuer === null ? {} : { issuer }),
    ...(keyId === null ? {} : { keyId }),
    signsUntil: row['signs_until'] as number,
    createdAt: row['created_at'] as number,
  };
}

/** The newest list of one authority, if it has any. */
export async function readCrl(reader: Reader, authority: string): Promise<StoredCrl | undefined> {
  const row = await reader.get(`SELECT ${CRL_COLUMNS} FROM authority_crl WHERE authority = ?`, [authority]);
  return row === undefined ? undefined : crlOf(row);
}

function crlOf(row: Row): StoredCrl {
  return {
    authority: row['authority'] as string,
    number: row['number'] as number,
    thisUpdate: row['this_update'] as number,
    nextUpdate: row['next_update'] as number,
    der: row['crl'] as Uint8Array,
  };
}

function requestOf(row: Row): AuthorityRequestRow {
  return {
    authority: row['authority'] as string,
    keyId: row['key_id'] as string,
    csr: row['csr'] as Uint8Array,
    createdAt: row['created_at'] as number,
  };
}
