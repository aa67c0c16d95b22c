import type { Extension } from '../x509/extension.ts';
import {
  ACCESS_CA_ISSUERS,
  ACCESS_OCSP,
  AUTHORITY_INFO_ACCESS,
  encodeAuthorityInfoAccess,
} from '../x509/extensions/authority-info-access.ts';
import { CRL_DISTRIBUTION_POINTS, encodeCrlDistributionPoints } from '../x509/extensions/crl-distribution-points.ts';
import type { GeneralName } from '../x509/general-name.ts';

/**
 * Where the plain listener serves what relying parties fetch. These addresses stand in certificates and lists, so the
 * paths never change. `base` is the beginning of all of them, without a slash at the end: `http://ca.example.com:8480`.
 */
export const STATUS_PATHS = {
  certificate: (authority: string): string => `/ca/${authority}.cer`,
  list: (authority: string): string => `/crl/${authority}.crl`,
  shard: (shard: string): string => `/crl/shard/${shard}.crl`,
  delta: (shard: string): string => `/crl/delta/${shard}.crl`,
  ocsp: '/ocsp',
} as const;

/** The id of the shard that a URL of a certificate's distribution point names; undefined for any other URL. */
export function shardOfUrl(url: string): string | undefined {
  return /\/crl\/shard\/([0-9a-z]+)\.crl$/.exec(url)?.[1];
}

/** The pointers of a leaf (RFC 5280 §4.2.1.13, §4.2.2.1): to its shard and the responder unless it is `ephemeral`. */
export function leafPointers(base: string, issuer: string, shard: string | undefined): Extension[] {
  const certificate = { method: ACCESS_CA_ISSUERS, location: uri(base + STATUS_PATHS.certificate(issuer)) };
  if (shard === undefined) return [access([certificate])];
  return [
    access([{ method: ACCESS_OCSP, location: uri(base + STATUS_PATHS.ocsp) }, certificate]),
    distributionPoint(base + STATUS_PATHS.shard(shard)),
  ];
}

/** The pointers of an authority's certificate: to the list of the one above, and to that one's certificate. */
export function authorityPointers(base: string, above: string): Extension[] {
  return [
    access([{ method: ACCESS_CA_ISSUERS, location: uri(base + STATUS_PATHS.certificate(above)) }]),
    distributionPoint(base + STATUS_PATHS.list(above)),
  ];
}

function access(descriptions: Parameters<typeof encodeAuthorityInfoAccess>[0]): Extension {
  return { oid: AUTHORITY_INFO_ACCESS, critical: false, value: encodeAuthorityInfoAccess(descriptions) };
}

function distributionPoint(url: string): Extension {
  return { oid: CRL_DISTRIBUTION_POINTS, critical: false, value: encodeCrlDistributionPoints([uri(url)]) };
}

function uri(value: string): GeneralName {
  return { kind: 'uri', value };
}
