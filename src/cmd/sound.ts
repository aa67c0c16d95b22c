import { existsSync } from 'node:fs';
import { WritError } from '../base/error.ts';
import type { NameScope } from '../ca/authority/name-constraints.ts';
import { nameConstraintFault, parseTrustDomain } from '../spiffe-id/trust-domain.ts';
import type { Config } from './config/config.ts';
import type { DataDirectory } from './data-directory.ts';
import { openEngine } from './engine.ts';
import type { NewInstallation } from './new-installation.ts';
import { type Present, readPresent } from './present.ts';
import { requirePermittedNames, requireVouchedNames } from './server-names.ts';

/**
 * Looks whether an installation can be made, or joined, as wanted; changes nothing. Gives the names that its authorities
 * vouch for, were it made anew. Throws `bad_spiffe_id`, `bad_config`, and as `requireWanted`.
 */
export async function requireSound(wanted: NewInstallation, directory: DataDirectory): Promise<NameScope> {
  const { config, permitDns, permitNetworks, loopback } = wanted;
  const trustDomain = parseTrustDomain(config.trustDomain, '--trust-domain');
  const fault = nameConstraintFault(trustDomain);
  if (fault !== undefined) {
    throw new WritError('bad_spiffe_id', `The trust domain ${fault}.`, {
      field: '--trust-domain',
      remedy: 'Give a host name of at least two labels, like agents.example.com; it need not exist in DNS.',
    });
  }
  const scope = { trustDomain, dns: permitDns, networks: permitNetworks, loopback };
  const present = await lookInto(config, directory);
  requireWanted(wanted, present);
  if (present === undefined) requirePermittedNames(config.names, scope);
  return scope;
}

async function lookInto(config: Config, directory: DataDirectory): Promise<Present | undefined> {
  if (config.database.engine === 'sqlite' && !existsSync(directory.database)) return undefined;
  const database = await openEngine(config, directory, { readOnly: true });
  try {
    return await readPresent(database);
  } finally {
    await database.close();
  }
}

/**
 * Throws `conflict` or `not_found` where there is an installation and should be none, or the other way round, `bad_config`
 * where it is one that these words do not fit.
 */
export function requireWanted({ config, join = 'no' }: NewInstallation, present: Present | undefined): void {
  if (present === undefined) {
    if (join !== 'only') return;
    throw new WritError('not_found', 'There is no installation in this database', {
      field: '--join',
      remedy: 'Make it first, on one machine and without --join, or name the right database.',
    });
  }
  if (join === 'no') {
    throw new WritError('conflict', 'There is an installation here already', {
      field: '--data',
      remedy: 'Start it with "writ start", join it with --join, or name another directory.',
    });
  }
  requireTrustDomain(config, present);
  requireVouchedNames(config.names, present);
}

/** Throws `bad_config` where a configuration is not that of this installation: its identities would be no one's. */
export function requireTrustDomain(config: Config, { trustDomain }: Present): void {
  if (config.trustDomain === trustDomain) return;
  throw new WritError('bad_config', `The installation in the database is that of ${trustDomain}`, {
    field: 'trustDomain',
    remedy: 'Name its trust domain in the configuration, or another database.',
  });
}
