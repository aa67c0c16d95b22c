import { isHostName } from './host-name.ts';

/** `scheme://authority` and what follows (RFC 3986 §3), in printable ASCII. */
const AUTHORITY = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)[!-~]*$/i;

/**
 * The host of a URI in lower case, or undefined when there is no authority, when its host is no host name (an IP
 * address, for one) or when it has a user part, which parsers read differently. RFC 5280 §4.2.1.10: a URI constraint
 * refuses such a URI.
 */
export function uriHost(uri: string): string | undefined {
  const host = AUTHORITY.exec(uri)?.[1]?.replace(/:\d*$/, '');
  return host !== undefined && isHostName(host) ? host.toLowerCase() : undefined;
}
