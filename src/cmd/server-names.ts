import { isIP } from 'node:net';
import { WritError } from '../base/error.ts';
import { type NameScope, permittedNames } from '../ca/authority/name-constraints.ts';
import type { Hierarchy } from '../ca/hierarchy.ts';
import { isInNetwork, parseNetwork } from '../ca/profile/network.ts';
import { isWithinSubtrees } from '../x509/path/host-name.ts';
import { parseIpAddress } from '../x509/path/ip-address.ts';
import { guardLimits } from './server/installation-limits.ts';

/**
 * Throws `bad_config` when a server would be reached under a name that its own authorities will not vouch for. That is
 * decided with the root, so it has to be said before there is one.
 */
export function requirePermittedNames(names: readonly string[], scope: NameScope): void {
  const outside = firstOutside(names, permittedNames(scope));
  if (outside === undefined) return;
  const permit = isIP(outside) === 0 ? '--permit-dns NAME' : '--permit-ip NETWORK';
  throw unvouched(
    outside,
    `Name the server below ${scope.trustDomain}, or permit this, too, for the life of the root: ${permit}.`,
  );
}

/** The same where the root is there: what it permits cannot be changed any more. */
export function requireVouchedNames(
  names: readonly string[],
  hierarchy: Pick<Hierarchy, 'trustDomain' | 'nameConstraints'>,
): void {
  const { dnsSubtrees, ipRanges } = guardLimits(hierarchy, []);
  const dns = [hierarchy.trustDomain, ...dnsSubtrees];
  const outside = firstOutside(names, { dns, networks: ipRanges });
  if (outside === undefined) return;
  const permitted = [...dns, ...ipRanges].join(', ');
  throw unvouched(outside, `Name the server within what was permitted when the root was made: ${permitted}.`);
}

function firstOutside(
  names: readonly string[],
  { dns, networks }: { readonly dns: readonly string[]; readonly networks: readonly string[] },
): string | undefined {
  const permitted = (name: string): boolean => {
    if (isIP(name) === 0) return isWithinSubtrees(name, dns);
    const address = parseIpAddress(name);
    return networks.some((text) => {
      const network = parseNetwork(text);
      return address !== undefined && network !== undefined && isInNetwork(address, network);
    });
  };
  return names.find((name) => !permitted(name));
}

function unvouched(name: string, remedy: string): WritError {
  return new WritError('bad_config', `The authorities would not vouch for ${name}`, { field: '--name', remedy });
}
