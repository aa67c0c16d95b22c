import { BlockList, isIP } from 'node:net';
import { WritError } from '../../base/error.ts';
import { isWithinSubtrees } from '../../x509/path/host-name.ts';
import { CERTIFIES, type GuardLimits, type GuardRule, texts } from './rule.ts';

/**
 * Names in a certificate lie where the authority's own certificates permit them. Their name constraints say the same to
 * whoever validates; here it is said before anything is signed. An agent or service has names of its own alone, so that
 * none stands in for another before a client that knows hosts by name. The authority's own names are for nobody else, since many
 * a client knows it by host name and root alone. Throws `bad_config` for a range that is none.
 */
export function names(limits: GuardLimits): GuardRule {
  const subtrees = [limits.trustDomain, ...limits.dnsSubtrees];
  const ranges = addressRanges(limits.ipRanges);
  const reserved = new Set((limits.serverNames ?? []).filter((name) => !isLoopback(name)));
  return {
    id: 'guard.names',
    refuse(request) {
      if (!CERTIFIES.includes(request.action)) return undefined;
      const dns = texts(request, 'dnsNames');
      const addresses = texts(request, 'ipAddresses');
      if (dns.length > 0 && request.context?.['profileDnsNames'] !== true) return 'The profile allows no DNS names.';
      if (addresses.length > 0 && request.context?.['profileIpAddresses'] !== true) {
        return 'The profile allows no IP addresses.';
      }
      if (!dns.every(isHostName)) return 'A DNS name is not a plain host name in lower case.';
      if (!dns.every((name) => isWithinSubtrees(name, subtrees))) {
        return `A DNS name lies outside ${subtrees.join(', ')}.`;
      }
      const { type, id } = request.resource;
      if (dns.length > 0 && (type === 'Agent' || type === 'Service')) {
        const own = `${id}.${limits.trustDomain}`;
        const theirs = [own, ...texts(request, 'ownDnsNames')];
        if (!dns.every((name) => isLoopback(name) || isWithinSubtrees(name, theirs))) {
          return `A DNS name is not one of its own: it has ${own}, what is registered for it (--dns), and names below.`;
        }
      }
      if (!addresses.every((address) => isWithin(ranges, address))) {
        return 'An IP address lies outside the ranges that are configured.';
      }
      if (request.resource.type !== 'Installation' && [...dns, ...addresses].some((name) => reserved.has(name))) {
        return 'A name or address is that of the authority itself.';
      }
      return undefined;
    },
  };
}

/** No wildcard, no final dot, no underscore: labels of RFC 1034 §3.5, in lower case. */
function isHostName(name: string): boolean {
  return name.length <= 253 && name.split('.').every((label) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(label));
}

/** Nobody but a program of the same machine answers there, so it is no name to pretend with. */
function isLoopback(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost') || name === '::1' || /^127\.\d+\.\d+\.\d+$/.test(name);
}

function addressRanges(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [network, bits, ...more] = range.split('/');
    const family = isIP(network!);
    const size = family === 4 ? 32 : 128;
    if (family === 0 || more.length > 0 || !/^\d{1,3}$/.test(bits ?? '') || Number(bits) > size) {
      throw new WritError('bad_config', 'A range of IP addresses is not an address, a slash and a number of bits.', {
        remedy: 'Write it like 10.0.0.0/8 or fd00::/8.',
      });
    }
    list.addSubnet(network!, Number(bits), family === 4 ? 'ipv4' : 'ipv6');
  }
  return list;
}

function isWithin(ranges: BlockList, address: string): boolean {
  const family = isIP(address);
  if (family === 0 || (family === 6 && !isPlainV6(address))) return false;
  return ranges.check(address, family === 4 ? 'ipv4' : 'ipv6');
}

/** In the one spelling of RFC 5952, without a zone, and no IPv4 address in disguise (::ffff:0:0/96). */
function isPlainV6(address: string): boolean {
  const host = `[${address}]`;
  return URL.parse(`http://${host}/`)?.hostname === host && !address.startsWith('::ffff:');
}
