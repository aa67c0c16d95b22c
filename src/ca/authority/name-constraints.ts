import { WritError } from '../../base/error.ts';
import { nameConstraintFault, type TrustDomain } from '../../spiffe-id/trust-domain.ts';
import type { NameConstraints } from '../../x509/extensions/name-constraints.ts';
import type { GeneralName } from '../../x509/general-name.ts';
import { isHostName } from '../../x509/path/host-name.ts';
import { parseNetwork } from '../profile/network.ts';

/** The names that authorities of an installation can vouch for. Fixed for the life of its root. */
export interface NameScope {
  readonly trustDomain: TrustDomain;
  /** DNS names beside the trust domain; each permits itself and all below it. */
  readonly dns: readonly string[];
  /** Networks as `10.0.0.0/8` or `fd00::/8`. */
  readonly networks: readonly string[];
  /** Adds `localhost`, 127.0.0.0/8 and ::1/128, for a set-up on one machine. */
  readonly loopback: boolean;
}

const LOOPBACK_DNS = 'localhost';
const LOOPBACK_NETWORKS = ['127.0.0.0/8', '::1/128'];

/** RFC 2606 §2 keeps `invalid` from ever being a domain, so this permits nobody's mailbox. */
const NOBODY: GeneralName = { kind: 'email', value: 'nobody@writ.invalid' };

/** More than this no hierarchy needs, and every validator compares every name with all of them. */
const MOST_SUBTREES = 64;

/**
 * The constraints of root, intermediate and issuing certificates (RFC 5280 §4.2.1.10).
 *
 * - SPIFFE IDs of exactly this trust domain: a URI constraint without leading period is that host alone. Go takes it to
 *   hold for the hosts below as well; those are not excluded all the same, since GnuTLS takes the exclusion of any URI for
 *   that of every one. A SPIFFE verifier judges an ID of a domain below by that domain's own roots, never by these.
 * - DNS names of the trust domain and below, and of the further subtrees.
 * - Addresses of the networks; of a family in which there is none no address at all, by excluding every one of it. RFC 5280
 *   forbids the other family by a permitted network of the one already; GnuTLS does not.
 * - No mailbox: the one that is permitted forbids all others, and it is excluded itself, which beats permission.
 *
 * Throws `bad_spiffe_id` or `bad_config`, naming the flag, for what no validator would take.
 */
export function nameConstraintsFor(scope: NameScope): NameConstraints {
  const fault = nameConstraintFault(scope.trustDomain);
  if (fault !== undefined) {
    throw new WritError('bad_spiffe_id', `The trust domain ${fault}.`, {
      field: '--trust-domain',
      remedy: 'Give a host name of at least two labels, like agents.example.com; it need not exist in DNS.',
    });
  }
  const dns = unique([scope.trustDomain, ...scope.dns.map(parseDnsSubtree), ...(scope.loopback ? [LOOPBACK_DNS] : [])]);
  const networks = unique([...scope.networks, ...(scope.loopback ? LOOPBACK_NETWORKS : [])]).map(parsePermittedNetwork);
  if (dns.length + networks.length > MOST_SUBTREES) {
    throw new WritError('bad_config', `More than ${MOST_SUBTREES} names and networks are permitted.`, {
      field: '--permit-dns',
      remedy: 'Permit the names above them instead.',
    });
  }
  const ip = (value: Uint8Array): GeneralName => ({ kind: 'ip', value });
  return {
    permitted: [
      { kind: 'uri', value: scope.trustDomain },
      ...dns.map((value): GeneralName => ({ kind: 'dns', value })),
      ...networks.map(ip),
      NOBODY,
    ],
    excluded: [
      ...[8, 32]
        .filter((length) => networks.every((network) => network.length !== length))
        .map((length) => ip(new Uint8Array(length))),
      NOBODY,
    ],
  };
}

/** DNS subtrees and networks of a scope as profiles take them, loopback included. */
export function permittedNames(scope: NameScope): { dns: readonly string[]; networks: readonly string[] } {
  return {
    dns: unique([scope.trustDomain, ...scope.dns, ...(scope.loopback ? [LOOPBACK_DNS] : [])]),
    networks: unique([...scope.networks, ...(scope.loopback ? LOOPBACK_NETWORKS : [])]),
  };
}

function parseDnsSubtree(text: string): string {
  const name = text.toLowerCase();
  if (isHostName(name)) return name;
  throw new WritError('bad_config', 'A permitted DNS name is no host name.', {
    field: '--permit-dns',
    remedy: 'Give a name like corp.example, without wildcard or leading dot; all names below it are permitted, too.',
  });
}

function parsePermittedNetwork(text: string): Uint8Array {
  const network = parseNetwork(text);
  if (network !== undefined) return network;
  throw new WritError('bad_config', 'A permitted network is not in CIDR form.', {
    field: '--permit-ip',
    remedy: 'Give the first address and the prefix, like 10.0.0.0/8 or fd00::/8; a single address is 192.0.2.1/32.',
  });
}

function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)];
}
