import { isIP } from 'node:net';
import { WritError } from '../base/error.ts';
import { type NameScope, permittedNames } from '../ca/name-constraints.ts';
import { isInNetwork, parseNetwork } from '../ca/network.ts';
import { isWithinSubtrees } from '../x509/path/host-name.ts';
import { parseIpAddress } from '../x509/path/ip-address.ts';

/**
 * Throws `bad_config` when a server would be reached under a name that its own authorities will not vouch for. That is
 * decided with the root, so it has to be said before there is one.
 */
export function requirePermittedNames(names: readonly string[], scope: NameScope): void {
  const { dns, networks } = permittedNames(scope);
  const permitted = (name: string): boolean => {
    if (isIP(name) === 0) return isWithinSubtrees(name, dns);
    const address = parseIpAddress(name);
    return networks.some((text) => {
      const network = parseNetwork(text);
      return address !== undefined && network !== undefined && isInNetwork(address, network);
    });
  };
  const outside = names.find((name) => !permitted(name));
  if (outside === undefined) return;
  const permit = isIP(outside) === 0 ? '--permit-dns NAME' : '--permit-ip NETWORK';
  throw new WritError('bad_config', `The authorities would not vouch for ${outside}`, {
    field: '--name',
    remedy: `Name the server below ${scope.trustDomain}, or permit this, too, for the life of the root: ${permit}.`,
  });
}
