import { parseIpAddress } from '../../x509/path/ip-address.ts';

/**
 * The octets of a network in CIDR form, address before mask, as name constraints take them: 8 for IPv4, 32 for IPv6.
 * Undefined for anything else, also for a network with bits set beyond its prefix.
 */
export function parseNetwork(text: string): Uint8Array | undefined {
  const [, address = '', prefix = ''] = /^([^/]{2,45})\/(0|[1-9][0-9]{0,2})$/.exec(text) ?? [];
  const octets = parseIpAddress(address);
  const length = Number(prefix);
  if (octets === undefined || length > octets.length * 8) return undefined;
  const mask = octets.map((_, i) => 0xff00 >> Math.min(8, Math.max(0, length - 8 * i)));
  return octets.every((octet, i) => (octet & ~mask[i]!) === 0) ? Uint8Array.from([...octets, ...mask]) : undefined;
}

/** Whether an address of 4 or 16 octets lies in a network of `parseNetwork`. One of the other family does not. */
export function isInNetwork(address: Uint8Array, network: Uint8Array): boolean {
  if (network.length !== 2 * address.length) return false;
  return address.every((octet, i) => (octet & network[address.length + i]!) === network[i]);
}
