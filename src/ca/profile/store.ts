import { WritError } from '../../base/error.ts';
import type { Batch } from '../../db/batch.ts';
import type { Reader, Row } from '../../db/database.ts';
import type { NameConstraints } from '../../x509/extensions/name-constraints.ts';
import { newBudget } from '../../x509/path/limits.ts';
import { constrainedNames, permits, readConstraints } from '../../x509/path/name-constraints.ts';
import type { Act } from '../act.ts';
import { isInNetwork, parseNetwork } from './network.ts';
import type { Profile } from './profile.ts';

export interface StoredProfile {
  readonly profile: Profile;
  /** From 1, one more with each change. */
  readonly version: number;
  /** Milliseconds. */
  readonly updatedAt: number;
}

/** All profiles in the order of their names. */
export async function readProfiles(reader: Reader): Promise<StoredProfile[]> {
  const rows = await reader.all('SELECT version, profile, updated_at FROM profile ORDER BY name');
  return rows.map(storedProfileOf);
}

export async function readProfile(reader: Reader, name: string): Promise<StoredProfile | undefined> {
  const row = await reader.get('SELECT version, profile, updated_at FROM profile WHERE name = ?', [name]);
  return row === undefined ? undefined : storedProfileOf(row);
}

/**
 * Pushes a profile, new (`before` undefined) or in place of the version that was seen. Refused when it changed
 * meanwhile. From the commit on nothing is issued under the old one.
 */
export function addProfile(batch: Batch, profile: Profile, before: StoredProfile | undefined, act: Act): void {
  const version = (before?.version ?? 0) + 1;
  batch.checks.push({
    sql:
      before === undefined
        ? 'SELECT 1 AS found FROM profile WHERE name = ?'
        : 'SELECT 1 AS found FROM profile WHERE name = ? AND version = ?',
    params: before === undefined ? [profile.name] : [profile.name, before.version],
    want: before === undefined ? 'absent' : 'present',
    refusal: 'conflict',
    reason: 'The profile was changed by somebody else meanwhile.',
  });
  batch.writes.push({
    sql:
      'INSERT INTO profile (name, version, profile, updated_at, leaf) VALUES (?, ?, ?, ?, ?) ' +
      'ON CONFLICT (name) DO UPDATE SET version = excluded.version, profile = excluded.profile, ' +
      'updated_at = excluded.updated_at, leaf = excluded.leaf',
    params: [profile.name, version, JSON.stringify(profile), act.now, { leaf: batch.events.length }],
  });
  batch.events.push({
    type: 'profile.published',
    subjects: [`profile:${profile.name}`],
    body: { caller: act.caller, version, profile: { ...profile, lifetime: { ...profile.lifetime } } },
  });
  batch.bumpsEpoch = true;
}

/**
 * Throws `bad_request` when a profile allows names that the authorities cannot vouch for: every certificate with such a
 * name would be refused by the validators, and so by the lints.
 */
export function requireWithin(profile: Profile, constraints: NameConstraints): void {
  const read = readConstraints(constraints);
  for (const [index, value] of profile.dns.entries()) {
    if (permits(read, constrainedNames({ raw: new Uint8Array(), rdns: [] }, [{ kind: 'dns', value }]), newBudget()))
      continue;
    throw outside(`/dns/${index}`, 'DNS name');
  }
  const networks = constraints.permitted.flatMap((name) => (name.kind === 'ip' ? [name.value] : []));
  for (const [index, text] of profile.networks.entries()) {
    const network = parseNetwork(text)!;
    if (networks.some((permitted) => isWithinNetwork(network, permitted))) continue;
    throw outside(`/networks/${index}`, 'network');
  }
}

/** Whether all of `network` lies in `permitted`; address before mask in both. */
function isWithinNetwork(network: Uint8Array, permitted: Uint8Array): boolean {
  const half = network.length / 2;
  if (permitted.length !== network.length || !isInNetwork(network.subarray(0, half), permitted)) return false;
  return network.subarray(half).every((mask, i) => (mask & permitted[half + i]!) === permitted[half + i]);
}

function outside(field: string, what: string): WritError {
  return new WritError('bad_request', `The profile allows a ${what} outside the name constraints of the authorities.`, {
    field,
    remedy: 'Names are permitted when an installation is made: --permit-dns, --permit-ip.',
  });
}

/** A row was written by `addProfile` from a parsed profile. */
function storedProfileOf(row: Row): StoredProfile {
  return {
    profile: JSON.parse(row['profile'] as string) as Profile,
    version: row['version'] as number,
    updatedAt: row['updated_at'] as number,
  };
}
