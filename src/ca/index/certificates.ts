import type { Batch } from '../../db/batch.ts';
import type { Row } from '../../db/database.ts';
import { inPartition, type PartitionFamily } from '../../db/partition.ts';
import type { PartitionMap } from '../../db/partition-map.ts';
import { formatSerial, readSerial } from '../certificate/serial.ts';
import { pushRevoked } from '../crl/revoked.ts';
import { CAUSES, type Cause, reasonCode } from '../revocation-cause.ts';
import { LIFETIME_CLASS } from './lifetime-class.ts';

/**
 * The index of all leaf certificates, in partitions by the time of issue, which the serial number tells. It can be made
 * anew from the ledger, where the DER lies.
 */
export const CERTIFICATES: PartitionFamily = {
  name: 'certificate',
  timeColumn: 'issued_at',
  open: [
    `CREATE TABLE {partition} (
      -- Ledger index of the event that issued it. Rises with every row.
      leaf INTEGER PRIMARY KEY,
      -- 20 octets that begin with the expiry (ca/certificate/serial.ts), so that its index is one by expiry, too.
      serial BLOB NOT NULL,
      -- agent, service, operator, server or responder.
      kind TEXT NOT NULL,
      -- Of the agent, service or operator; 'server' and 'responder' for Writ's own.
      name TEXT NOT NULL,
      -- Empty for operators and servers.
      instance TEXT NOT NULL,
      profile TEXT NOT NULL,
      -- Milliseconds. Valid from the one on and before the other, unless revoked.
      issued_at BIGINT NOT NULL,
      expires_at BIGINT NOT NULL,
      -- SHA-256 of the DER SubjectPublicKeyInfo.
      spki_hash BLOB NOT NULL,
      -- Serial number of the one that the same instance got before it, in the order of commit.
      previous BLOB,
      -- Id of the authority that signed it.
      issuer TEXT NOT NULL,
      revoked_at BIGINT,
      -- CRLReason of RFC 5280, and our cause for it.
      reason BIGINT,
      cause TEXT,
      -- Id of the shard of the revocation lists that it names.
      shard TEXT
    )`,
    'CREATE UNIQUE INDEX {partition}_serial ON {partition} (serial)',
    `CREATE INDEX {partition}_lifetime ON {partition} (${LIFETIME_CLASS}, issued_at)`,
    'CREATE INDEX {partition}_revoked ON {partition} (serial) WHERE revoked_at IS NOT NULL',
  ],
  closed: [
    'CREATE INDEX {partition}_name ON {partition} (name, serial)',
    "CREATE INDEX {partition}_instance ON {partition} (instance, serial) WHERE instance <> ''",
  ],
};

export type CertificateKind = 'agent' | 'service' | 'operator' | 'server' | 'responder';

/** What the index knows of one certificate; the DER is in the ledger under `leaf`. */
export interface CertificateRow {
  readonly leaf: number;
  readonly serial: Uint8Array;
  readonly kind: CertificateKind;
  readonly name: string;
  readonly instance?: string;
  readonly profile: string;
  /** Milliseconds, as all times here. Valid from the one on and before the other, unless revoked. */
  readonly issuedAt: number;
  readonly expiresAt: number;
  /** SHA-256 of the SubjectPublicKeyInfo. */
  readonly spkiHash: Uint8Array;
  /** The one before it of the same holder, in the order of commit. */
  readonly previous?: Uint8Array;
  readonly issuer: string;
  /** Of the revocation lists; absent where the certificate names none. */
  readonly shard?: string;
  readonly revoked?: Revoked;
}

interface Revoked {
  readonly at: number;
  /** Number of RFC 5280 §5.3.1. */
  readonly reason: number;
  readonly cause: Cause;
}

/** What a new row says. */
export interface NewCertificate extends Omit<CertificateRow, 'leaf' | 'previous' | 'revoked'> {
  /**
   * Where the commit finds the serial number of the one before it: a subquery with one parameter. Two renewals of one
   * instance may be in flight at once, and the later one must name the other.
   */
  readonly previous?: { readonly subquery: string; readonly param: string };
}

const WRITTEN =
  'leaf, serial, kind, name, instance, profile, issued_at, expires_at, spki_hash, issuer, shard, previous';

/** Every query that ends in `certificateOf` selects these. */
export const CERTIFICATE_COLUMNS: string = `${WRITTEN}, revoked_at, reason, cause`;

const INSERT = `INSERT INTO {partition} (${WRITTEN}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, `;

/** Adds the row of a certificate whose issue is the batch's event number `event`. */
export function insertCertificate(batch: Batch, certificate: NewCertificate, event: number): void {
  const { serial, kind, name, instance, profile, issuedAt, expiresAt, spkiHash, issuer, shard, previous } = certificate;
  batch.writes.push({
    sql: `${INSERT}${previous?.subquery ?? 'NULL'})`,
    params: [
      { leaf: event },
      serial,
      kind,
      name,
      instance ?? '',
      profile,
      issuedAt,
      expiresAt,
      spkiHash,
      issuer,
      shard ?? null,
      ...(previous === undefined ? [] : [previous.param]),
    ],
    partition: { family: CERTIFICATES.name, at: issuedAt, expires: expiresAt },
  });
}

/** Reads the row of one certificate. Undefined for a serial number that is not ours, and past retention. */
export async function readCertificate(map: PartitionMap, serial: Uint8Array): Promise<CertificateRow | undefined> {
  const times = readSerial(serial);
  if (times === undefined) return undefined;
  const row = await map.get(times.issuedAt, READ, [serial]);
  return row === undefined ? undefined : certificateOf(row);
}

const READ = `SELECT ${CERTIFICATE_COLUMNS} FROM {partition} WHERE serial = ?`;

/**
 * Pushes the revocation of a certificate, which was read before, for ever: row, event, epoch, anchor. The commit refuses
 * it with `conflict` when the certificate is revoked already, so that the first time and cause stay. What becomes of its
 * key is for the caller to push.
 */
export async function revokeCertificateRow(
  map: PartitionMap,
  batch: Batch,
  certificate: CertificateRow,
  { at, cause, caller }: { readonly at: number; readonly cause: Cause; readonly caller: string },
): Promise<void> {
  const { serial, issuedAt, expiresAt, spkiHash, issuer, shard } = certificate;
  const [partition] = await map.overlapping(issuedAt, issuedAt);
  if (partition === undefined) return;
  batch.checks.push({
    sql: inPartition(UNREVOKED, partition),
    params: [serial],
    want: 'present',
    refusal: 'conflict',
    reason: 'The certificate was revoked meanwhile.',
  });
  batch.writes.push({
    sql: 'UPDATE {partition} SET revoked_at = ?, reason = ?, cause = ? WHERE serial = ?',
    params: [at, reasonCode(cause), cause, serial],
    partition: { family: CERTIFICATES.name, at: issuedAt, expires: expiresAt },
  });
  pushRevoked(batch, certificate, { at, reason: reasonCode(cause) });
  const hex = formatSerial(serial);
  batch.events.push({
    type: 'certificate.revoked',
    subjects: [...holderSubjects(certificate), `serial:${hex}`],
    body: {
      caller,
      serial: hex,
      at: new Date(at).toISOString(),
      reason: CAUSES[cause],
      cause,
      key: Buffer.from(spkiHash).toString('hex'),
      // For a database that has lost the certificate: its lists go on naming it (revocation/replay.ts).
      issuer,
      ...(shard === undefined ? {} : { shard }),
    },
  });
  batch.bumpsEpoch = true;
  batch.anchored = true;
}

/**
 * The commit looks again: a certificate that was read before through this map is not revoked. Refused with `revoked`.
 */
export async function requireUnrevoked(map: PartitionMap, batch: Batch, serial: Uint8Array): Promise<void> {
  const at = readSerial(serial)?.issuedAt ?? 0;
  // Whoever has read the row knows its partition; a time names one partition for ever.
  const partition = map.known(at) ?? (await map.overlapping(at, at))[0];
  batch.checks.push({
    sql: partition === undefined ? 'SELECT 1 WHERE 1 = 0' : inPartition(UNREVOKED, partition),
    params: partition === undefined ? [] : [serial],
    want: 'present',
    refusal: 'revoked',
    reason: 'The certificate was revoked, which is for ever.',
    ...(partition === undefined ? {} : { standing: true }),
  });
}

const UNREVOKED = 'SELECT 1 FROM {partition} WHERE serial = ? AND revoked_at IS NULL';

/** Whom a certificate is about, for the ledger. Agents and services have one space of names. */
export function holderSubjects({ kind, name, instance }: Pick<CertificateRow, 'kind' | 'name' | 'instance'>): string[] {
  if (instance !== undefined) return [`agent:${name}`, `instance:${instance}`];
  return [`${kind}:${name}`];
}

/** A row of `CERTIFICATE_COLUMNS` as a certificate. */
export function certificateOf(row: Row): CertificateRow {
  const instance = row['instance'] as string;
  const previous = row['previous'] as Uint8Array | null;
  const revokedAt = row['revoked_at'] as number | null;
  const shard = row['shard'] as string | null;
  return {
    leaf: row['leaf'] as number,
    serial: row['serial'] as Uint8Array,
    kind: row['kind'] as CertificateKind,
    name: row['name'] as string,
    ...(instance === '' ? {} : { instance }),
    profile: row['profile'] as string,
    issuedAt: row['issued_at'] as number,
    expiresAt: row['expires_at'] as number,
    spkiHash: row['spki_hash'] as Uint8Array,
    ...(previous === null ? {} : { previous }),
    issuer: row['issuer'] as string,
    ...(shard === null ? {} : { shard }),
    ...(revokedAt === null
      ? {}
      : { revoked: { at: revokedAt, reason: row['reason'] as number, cause: row['cause'] as Cause } }),
  };
}
