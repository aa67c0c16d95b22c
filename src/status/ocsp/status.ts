import type { Authority } from '../../ca/authority.ts';
import { wholeSecond } from '../../ca/certificate/prepare.ts';
import { HELD, readRevoked } from '../../ca/crl/revoked.ts';
import { readCertificate } from '../../ca/index/certificates.ts';
import type { Reader } from '../../db/database.ts';
import type { PartitionMap } from '../../db/partition-map.ts';
import { sameBytes } from '../../der/bytes.ts';
import type { StoppedAuthority } from '../../revocation/stopped-authorities.ts';
import { reasonOfCode } from '../../x509/extensions/reason-code.ts';
import type { OcspStatus } from '../../x509/ocsp-response.ts';

export interface OcspStatusParts {
  readonly reader: Reader;
  /** Of the family `certificate`. */
  readonly certificates: PartitionMap;
  /** All of the installation, as this process has them now. */
  authorities(): readonly Authority[];
}

/**
 * What the store says of the certificate with this serial number (content octets) that `issuer` signed: revoked or held,
 * else good when it is there, leaf or authority, expired or not. `unknown` is what this issuer never signed, and what
 * is past retention (RFC 6960 §2.2).
 */
export async function readOcspStatus(
  serial: Uint8Array,
  issuer: Authority,
  { reader, certificates, authorities }: OcspStatusParts,
): Promise<OcspStatus> {
  const listed = await readRevoked(reader, serial);
  if (listed !== undefined && listed.issuer === issuer.id) return revoked(listed);
  const row = await readCertificate(certificates, serial);
  if (row !== undefined && row.issuer === issuer.id) return row.revoked === undefined ? GOOD : revoked(row.revoked);
  const below = (one: Authority): boolean => one.issuer === issuer.id && sameBytes(one.certificate.serial, serial);
  return authorities().some(below) ? GOOD : UNKNOWN;
}

/**
 * What a status is while the authority that signed the certificate is stopped (RFC 6960 §2.7): no better than the
 * authority's own. What was revoked by itself stays so, and what was never issued is unknown.
 */
export function underStopped(own: OcspStatus, stopped: StoppedAuthority | undefined): OcspStatus {
  if (stopped === undefined || own.kind === 'unknown') return own;
  const isHeld = own.kind === 'revoked' && own.reason === 'certificateHold';
  return own.kind === 'good' || (isHeld && stopped.reason !== HELD) ? revoked(stopped) : own;
}

function revoked({ at, reason }: { readonly at: number; readonly reason: number }): OcspStatus {
  const named = reasonOfCode(reason);
  return { kind: 'revoked', at: wholeSecond(at), ...(named === undefined ? {} : { reason: named }) };
}

const GOOD: OcspStatus = { kind: 'good' };
const UNKNOWN: OcspStatus = { kind: 'unknown' };
