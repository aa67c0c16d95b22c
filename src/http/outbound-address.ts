import type { LookupAddress } from 'node:dns';
import { BlockList, isIP, isIPv6, type LookupFunction } from 'node:net';
import { WritError } from '../base/error.ts';

/** Whom Writ may be told to send requests to. */
export interface OutboundRules {
  /** True to allow `http://`, for what stands behind a proxy of one's own. */
  readonly allowHttp: boolean;
  /** Networks like `10.0.0.0/8` to which requests may go although they are not public. */
  readonly allowNetworks: readonly string[];
}

const LONGEST = 2048;

/**
 * Addresses that are nobody's on the Internet, or this machine's own (RFC 6890). URLs come from whoever may manage what
 * they belong to, and the request comes from within: without this it would reach what only Writ's network can.
 */
const NOT_PUBLIC: readonly string[] = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '::/127',
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '100::/64',
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  'fc00::/7',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
];

const REFUSED = listOf(NOT_PUBLIC, '');

/** Says whether a request may go to an address. */
export type AddressRule = (address: string) => boolean;

/** Throws `bad_config` for a network that is none; `field` is where it stands. */
export function addressRule({ allowNetworks }: OutboundRules, field: string): AddressRule {
  const allowed = listOf(allowNetworks, field);
  return (address) => {
    const family = familyOf(address);
    return family !== undefined && (allowed.check(address, family) || !REFUSED.check(address, family));
  };
}

/**
 * What is wrong with a URL that a request is to go to: `form` for anything but https (or http, where that is allowed)
 * without credentials and fragment, `address` for one that no request may go to. A name is looked at each time it is
 * resolved.
 */
export function parseOutboundUrl(
  text: string,
  { allowHttp }: OutboundRules,
  allowed: AddressRule,
): URL | 'form' | 'address' {
  const url = text.length <= LONGEST && URL.canParse(text) ? new URL(text) : undefined;
  const scheme = url?.protocol === 'https:' || (url?.protocol === 'http:' && allowHttp);
  if (url === undefined || !scheme || url.username + url.password + url.hash !== '' || url.hostname === '') {
    return 'form';
  }
  const host = hostOf(url);
  return isIP(host) !== 0 && !allowed(host) ? 'address' : url;
}

/** The host of a URL without the brackets of an IPv6 address. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

/**
 * Resolves as `resolve` does, and fails where one of the addresses is refused. The connection is made to what was looked
 * at, so that a name cannot change its meaning in between.
 */
export function guardedLookup(resolve: LookupFunction, allowed: AddressRule): LookupFunction {
  return (host, options, callback) => {
    resolve(host, options, (error, found, family) => {
      if (error !== null) return callback(error, found, family);
      const addresses = typeof found === 'string' ? [found] : found.map(({ address }: LookupAddress) => address);
      if (addresses.length > 0 && addresses.every(allowed)) return callback(null, found, family);
      const refused: NodeJS.ErrnoException = new Error('the name leads to an address that requests may not go to');
      refused.code = 'EACCES';
      return callback(refused, found, family);
    });
  };
}

function familyOf(address: string): 'ipv4' | 'ipv6' | undefined {
  const version = isIP(address);
  return version === 0 ? undefined : version === 4 ? 'ipv4' : 'ipv6';
}

function listOf(networks: readonly string[], field: string): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', length = ''] = network.split('/');
    try {
      // Without this a length that is not there would be 0, and stand for every address.
      if (!/^\d{1,3}$/.test(length)) throw new TypeError('no length');
      list.addSubnet(address, Number(length), isIPv6(address) ? 'ipv6' : 'ipv4');
    } catch (cause) {
      throw new WritError('bad_config', 'A network is not address/length.', {
        field,
        remedy: 'Write it like 10.0.0.0/8.',
        cause,
      });
    }
  }
  return list;
}
