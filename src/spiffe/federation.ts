import type { Batch } from '../db/batch.ts';
import type { Reader, Row } from '../db/database.ts';
import type { RecordedEvent } from '../ledger/entry.ts';
import type { TrustDomain } from '../spiffe-id/trust-domain.ts';

/** SPIFFE Federation §5.2. */
export type EndpointProfile = 'https_web' | 'https_spiffe';

/** Why a bundle was not taken. Stored, and in the ledger; the words never change their meaning. */
export type FederationFault =
  /** No request may go to that URL, or to where a redirect of it leads. */
  | 'url'
  | 'unreachable'
  | 'timeout'
  /** The answer was no bundle: another status, or more than is read. */
  | 'status'
  | 'too_large'
  /** Whoever answered is not who was to answer. */
  | 'identity'
  | 'malformed'
  /** It has a key of ours, or an authority that names our trust domain. */
  | 'own_domain'
  | 'sequence_back'
  /** There was a sequence before, and now there is none. */
  | 'sequence_missing';

/** What was understood of the bundle of another trust domain. */
export interface StoredBundle {
  readonly sequence?: number;
  /** Seconds. */
  readonly refreshHint?: number;
  readonly keys: readonly Readonly<Record<string, unknown>>[];
}

/** Another trust domain that is believed, and where its bundle is fetched. Times in milliseconds. */
export interface Federation {
  readonly trustDomain: TrustDomain;
  readonly url: string;
  readonly profile: EndpointProfile;
  /** SPIFFE ID of the endpoint's server; set for `https_spiffe`. */
  readonly endpointId?: string;
  /** The latest; absent before the first one. */
  readonly bundle?: StoredBundle;
  readonly bundleAt?: number;
  /** How it came here. */
  readonly source?: 'fetched' | 'given';
  /** When it is fetched next. */
  readonly pollAt: number;
  /** The latest attempt that ended, and the latest that ended well. */
  readonly triedAt?: number;
  readonly goodAt?: number;
  /** Why the latest attempt ended badly. */
  readonly fault?: FederationFault;
  readonly createdAt: number;
  /** Caller id. */
  readonly createdBy: string;
  /** Counts changes of the row. */
  readonly version: number;
}

/** More than this nobody federates with, and each has a poll of its own. */
export const MOST_FEDERATIONS = 500;

const COLUMNS =
  'trust_domain, url, profile, endpoint_id, bundle, bundle_at, source, poll_at, tried_at, good_at, fault, created_at, ' +
  'created_by, version';

/** All of them, by name. */
export async function listFederations(reader: Reader): Promise<Federation[]> {
  return (await reader.all(`SELECT ${COLUMNS} FROM federation ORDER BY trust_domain`)).map(federationOf);
}

export async function readFederation(reader: Reader, trustDomain: string): Promise<Federation | undefined> {
  const row = await reader.get(`SELECT ${COLUMNS} FROM federation WHERE trust_domain = ?`, [trustDomain]);
  return row === undefined ? undefined : federationOf(row);
}

/** Those whose time has come, the longest waiting first; at most `limit`. */
export async function dueFederations(reader: Reader, now: number, limit: number): Promise<Federation[]> {
  const sql = `SELECT ${COLUMNS} FROM federation WHERE poll_at <= ? ORDER BY poll_at LIMIT ?`;
  return (await reader.all(sql, [now, limit])).map(federationOf);
}

function federationOf(row: Row): Federation {
  const optional = (name: string, column: string): object => (row[column] === null ? {} : { [name]: row[column] });
  return {
    trustDomain: row['trust_domain'] as TrustDomain,
    url: row['url'] as string,
    profile: row['profile'] as EndpointProfile,
    ...optional('endpointId', 'endpoint_id'),
    ...(row['bundle'] === null ? {} : { bundle: JSON.parse(row['bundle'] as string) as StoredBundle }),
    ...optional('bundleAt', 'bundle_at'),
    ...optional('source', 'source'),
    pollAt: row['poll_at'] as number,
    ...optional('triedAt', 'tried_at'),
    ...optional('goodAt', 'good_at'),
    ...optional('fault', 'fault'),
    createdAt: row['created_at'] as number,
    createdBy: row['created_by'] as string,
    version: row['version'] as number,
  };
}

/** Pushes a new one; refused with `conflict` where there is one of that trust domain. */
export function insertFederation(batch: Batch, federation: Federation): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM federation WHERE trust_domain = ?',
    params: [federation.trustDomain],
    want: 'absent',
    refusal: 'conflict',
    reason: 'There is a federation with this trust domain already: remove it first, or replace its bundle.',
  });
  batch.writes.push({
    sql: `INSERT INTO federation (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    params: paramsOf(federation),
  });
}

/** Pushes what has changed since `before` was read; refused with `conflict` where somebody else changed it meanwhile. */
export function updateFederation(batch: Batch, before: Federation, after: Omit<Federation, 'version'>): void {
  requireUnchanged(batch, before);
  const set = COLUMNS.split(', ').map((column) => `${column} = ?`);
  batch.writes.push({
    sql: `UPDATE federation SET ${set.join(', ')} WHERE trust_domain = ?`,
    params: [...paramsOf({ ...after, version: before.version + 1 }), before.trustDomain],
  });
}

/** Pushes a bundle that was given by hand; what is being fetched at this moment does not count any more. */
export function giveBundle(batch: Batch, trustDomain: TrustDomain, bundle: StoredBundle, now: number): void {
  requireThere(batch, trustDomain);
  batch.writes.push({
    sql:
      "UPDATE federation SET bundle = ?, bundle_at = ?, source = 'given', poll_at = ?, fault = NULL, version = version + 1 " +
      'WHERE trust_domain = ?',
    params: [JSON.stringify(bundle), now, now, trustDomain],
  });
}

/** Pushes that the bundle is due. */
export function pollAtOnce(batch: Batch, trustDomain: TrustDomain, now: number): void {
  requireThere(batch, trustDomain);
  batch.writes.push({ sql: 'UPDATE federation SET poll_at = ? WHERE trust_domain = ?', params: [now, trustDomain] });
}

export function deleteFederation(batch: Batch, trustDomain: TrustDomain): void {
  requireThere(batch, trustDomain);
  batch.writes.push({ sql: 'DELETE FROM federation WHERE trust_domain = ?', params: [trustDomain] });
}

/** Writes after which what the anchor's entries say was ended is not believed again, whatever an older backup says. */
export function replayFederations(events: readonly RecordedEvent[]): Batch['writes'] {
  return events
    .filter(({ type }) => type === 'federation.removed')
    .map(({ body }) => ({
      sql: 'DELETE FROM federation WHERE trust_domain = ?',
      params: [String(body['trust_domain'])],
    }));
}

function requireThere(batch: Batch, trustDomain: TrustDomain): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM federation WHERE trust_domain = ?',
    params: [trustDomain],
    want: 'present',
    refusal: 'conflict',
    reason: 'The federation was removed meanwhile.',
  });
}

function requireUnchanged(batch: Batch, { trustDomain, version }: Federation): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM federation WHERE trust_domain = ? AND version = ?',
    params: [trustDomain, version],
    want: 'present',
    refusal: 'conflict',
    reason: 'The federation changed meanwhile.',
  });
}

function paramsOf(federation: Federation): (string | number | null)[] {
  const { bundle } = federation;
  return [
    federation.trustDomain,
    federation.url,
    federation.profile,
    federation.endpointId ?? null,
    bundle === undefined ? null : JSON.stringify(bundle),
    federation.bundleAt ?? null,
    federation.source ?? null,
    federation.pollAt,
    federation.triedAt ?? null,
    federation.goodAt ?? null,
    federation.fault ?? null,
    federation.createdAt,
    federation.createdBy,
    federation.version,
  ];
}
