import { isHostName, withoutWildcard } from './host-name.ts';
import { splitMailbox } from './mailbox.ts';

/**
 * Names and the subtrees that confine them (RFC 5280 §4.2.1.10), one shape for each form of name. Both are made once
 * for a certificate; comparing them parses nothing.
 */
export type ConstrainedName =
  /** Lower case; may begin with `*.`. */
  | { readonly form: 'dns'; readonly name: string }
  /** The host of the URI in lower case; undefined when it has none that is a host name. */
  | { readonly form: 'uri'; readonly host: string | undefined }
  /** The local part as it is, the host in lower case. */
  | { readonly form: 'email'; readonly local: string; readonly host: string }
  | { readonly form: 'ip'; readonly octets: Uint8Array }
  /** Relative distinguished names from the root down, each in a canonical text that is equal when the names are. */
  | { readonly form: 'directory'; readonly rdns: readonly string[] }
  | Uncompared;

export type Subtree =
  | { readonly form: 'dns'; readonly base: string }
  | { readonly form: 'uri'; readonly hosts: Hosts }
  | { readonly form: 'email'; readonly local: string | undefined; readonly hosts: Hosts }
  | { readonly form: 'ip'; readonly network: Uint8Array; readonly mask: Uint8Array }
  | { readonly form: 'directory'; readonly rdns: readonly string[] }
  | Uncompared;

/** otherName, x400Address, ediPartyName, registeredID, by tag: a constraint on one refuses every name of that form. */
interface Uncompared {
  readonly form: `tag ${number}`;
}

/** One host, or all that lie strictly below it (written with a leading period). */
interface Hosts {
  readonly host: string;
  readonly below: boolean;
}

/** A subtree of DNS names. Empty text is all names. Undefined for a wildcard, a leading period or no host name. */
export function dnsSubtree(text: string): Subtree | undefined {
  return text === '' || isHostName(text) ? { form: 'dns', base: text.toLowerCase() } : undefined;
}

/** A subtree of URIs: a host, or `.domain` for the hosts below it. Undefined for anything else. */
export function uriSubtree(text: string): Subtree | undefined {
  const hosts = parseHosts(text);
  return hosts && { form: 'uri', hosts };
}

/** A subtree of mailboxes: one mailbox, all of a host, or with a leading period all of the hosts below it. */
export function emailSubtree(text: string): Subtree | undefined {
  if (text.includes('@')) {
    const mailbox = splitMailbox(text);
    return mailbox && { form: 'email', local: mailbox.local, hosts: { host: mailbox.host, below: false } };
  }
  const hosts = parseHosts(text);
  return hosts && { form: 'email', local: undefined, hosts };
}

/** A subtree of addresses: address and mask of 4 or 16 octets each, the mask in CIDR style. Else undefined. */
export function ipSubtree(octets: Uint8Array): Subtree | undefined {
  if (octets.length !== 8 && octets.length !== 32) return undefined;
  const mask = octets.subarray(octets.length / 2);
  const bits = Array.from(mask, (octet) => octet.toString(2).padStart(8, '0')).join('');
  return /^1*0*$/.test(bits) ? { form: 'ip', network: octets.subarray(0, octets.length / 2), mask } : undefined;
}

/** Does all that the name stands for lie inside the subtree? `name` and `subtree` are of one form. */
export function isWithin(name: ConstrainedName, subtree: Subtree): boolean {
  if (name.form === 'dns' && subtree.form === 'dns') return isAtOrBelow(withoutWildcard(name.name), subtree.base);
  if (name.form === 'uri' && subtree.form === 'uri')
    return name.host !== undefined && isOneOf(name.host, subtree.hosts);
  if (name.form === 'email' && subtree.form === 'email') {
    return (subtree.local === undefined || subtree.local === name.local) && isOneOf(name.host, subtree.hosts);
  }
  if (name.form === 'ip' && subtree.form === 'ip') return isInNetwork(name.octets, subtree.network, subtree.mask);
  if (name.form === 'directory' && subtree.form === 'directory') {
    return subtree.rdns.length <= name.rdns.length && subtree.rdns.every((rdn, i) => rdn === name.rdns[i]);
  }
  return false;
}

/**
 * Does anything that the name stands for lie inside the subtree? It differs from `isWithin` for wildcards: `*.a.test`
 * stands for `b.a.test`, so a subtree of that name is touched. What cannot be compared counts as touched.
 */
export function touches(name: ConstrainedName, subtree: Subtree): boolean {
  if (name.form === 'dns' && subtree.form === 'dns' && name.name.startsWith('*.')) {
    const base = subtree.base;
    if (base.slice(base.indexOf('.') + 1) === name.name.slice(2) && base.includes('.')) return true;
  }
  if (name.form === 'uri' && name.host === undefined) return true;
  return subtree.form.startsWith('tag ') || isWithin(name, subtree);
}

function parseHosts(text: string): Hosts | undefined {
  const below = text.startsWith('.');
  const host = (below ? text.slice(1) : text).toLowerCase();
  return isHostName(host) ? { host, below } : undefined;
}

function isOneOf(host: string, hosts: Hosts): boolean {
  return hosts.below ? host.endsWith(`.${hosts.host}`) : host === hosts.host;
}

function isAtOrBelow(name: string, base: string): boolean {
  if (base === '' || name === base) return true;
  return name.length > base.length && name.endsWith(base) && name[name.length - base.length - 1] === '.';
}

function isInNetwork(octets: Uint8Array, network: Uint8Array, mask: Uint8Array): boolean {
  return octets.length === network.length && mask.every((bits, i) => (octets[i]! & bits) === (network[i]! & bits));
}
