import type { Hierarchy } from '../../ca/hierarchy.ts';
import type { GuardLimits } from '../../policy/guard/rule.ts';
import { decodeNameConstraints } from '../../x509/extensions/name-constraints.ts';

/**
 * What the guard confines certificates to: the same that the name constraints of every authority say. `serverNames`, under
 * which clients reach this server, are for it alone.
 */
export function guardLimits(
  hierarchy: Pick<Hierarchy, 'trustDomain' | 'nameConstraints'>,
  serverNames: readonly string[],
): GuardLimits {
  const { permitted } = decodeNameConstraints(hierarchy.nameConstraints);
  const dnsSubtrees: string[] = [];
  const ipRanges: string[] = [];
  for (const name of permitted) {
    if (name.kind === 'dns' && name.value !== hierarchy.trustDomain) dnsSubtrees.push(name.value);
    if (name.kind === 'ip') ipRanges.push(networkText(name.value));
  }
  return { trustDomain: hierarchy.trustDomain, dnsSubtrees, ipRanges, serverNames };
}

/** `10.0.0.0/8` of address and mask octets. The masks are those that `parseNetwork` made: ones, then zeros. */
function networkText(octets: Uint8Array): string {
  const half = octets.length / 2;
  const prefix = octets.subarray(half).reduce((bits, octet) => bits + octet.toString(2).replaceAll('0', '').length, 0);
  const address = octets.subarray(0, half);
  if (half === 4) return `${address.join('.')}/${prefix}`;
  const groups = Array.from({ length: 8 }, (_, i) => ((address[2 * i]! << 8) | address[2 * i + 1]!).toString(16));
  return `${groups.join(':')}/${prefix}`;
}
