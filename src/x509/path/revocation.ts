import { isWritError } from '../../base/error.ts';
import { sameBytes } from '../../der/bytes.ts';
import type { Crl } from '../crl.ts';
import { findExtension } from '../extension.ts';
import { CRL_NUMBER, decodeCrlNumber } from '../extensions/crl-number.ts';
import type { DistributionPointName } from '../extensions/distribution-point-name.ts';
import {
  decodeIssuingDistributionPoint,
  ISSUING_DISTRIBUTION_POINT,
  type IssuingDistributionPoint,
} from '../extensions/issuing-distribution-point.ts';
import { encodeGeneralName, type GeneralName } from '../general-name.ts';
import { namesMatch } from '../name.ts';
import type { Standard } from './certificate-rules.ts';
import type { Facts } from './facts.ts';
import { type Fault, fault } from './result.ts';
import { isSignedWith } from './signature.ts';

/** Extensions that are acted on. Others may be there, but not critical (RFC 5280 §5.2), delta lists among them. */
const UNDERSTOOD: readonly string[] = [CRL_NUMBER, ISSUING_DISTRIBUTION_POINT];

/**
 * The revocation status of one certificate by the lists at hand (RFC 5280 §6.3.3), for complete lists that the issuer
 * itself signs. Where no list bears the issuer's name the certificate passes: whoever wants a list checked brings it.
 * Where some do, one of them must be reliable, or the status is unknown, which is a refusal; the certificate must be on
 * none of the reliable ones.
 */
export function revocationFault(
  subject: Facts,
  issuer: Facts,
  crls: readonly Crl[],
  standard: Standard,
): Fault | undefined {
  let trouble: string | undefined;
  let answered = false;
  for (const crl of crls) {
    if (!namesMatch(crl.issuer, subject.certificate.issuer)) continue;
    const unusable = crlFault(crl, issuer, standard);
    trouble ??= unusable;
    if (unusable !== undefined) continue;
    answered = true;
    if (!covers(crl, subject)) continue;
    if (crl.entries.some(({ serial }) => sameBytes(serial, subject.certificate.serial))) {
      return fault('revoked', 'is on the revocation list of its issuer');
    }
  }
  if (answered || trouble === undefined) return undefined;
  return fault('revocation_unknown', `has an issuer whose revocation list ${trouble}`);
}

/** Why a list cannot be relied on, as the rest of a sentence. */
function crlFault(crl: Crl, issuer: Facts, { at, budget }: Standard): string | undefined {
  if (crl.version !== 2) return 'is not of version 2'; // §5.1.2.1
  if (at < crl.thisUpdate) return 'is not valid yet';
  if (crl.nextUpdate === undefined || at > crl.nextUpdate) return 'is not fresh'; // §5.1.2.5, §6.3.3 (a)
  const unknown = crl.extensions.some(({ oid, critical }) => critical && !UNDERSTOOD.includes(oid));
  if (unknown) return 'has a critical extension that is not understood'; // §5.2
  // Entries' critical extensions change what the entry means, as the issuer of an indirect list does (§5.3).
  const unknownEntry = crl.entries.some(({ extensions }) => extensions.some(({ critical }) => critical));
  if (unknownEntry) return 'has an entry with a critical extension that is not understood';
  const number = findExtension(crl.extensions, CRL_NUMBER);
  if (number === undefined || number.critical) return 'has no CRL number, or a critical one'; // §5.2.3
  try {
    decodeCrlNumber(number.value);
    readScope(crl);
  } catch (error) {
    if (isWritError(error)) return 'has a malformed extension';
    throw error;
  }
  if (issuer.keyUsage?.includes('cRLSign') === false) return 'is not for it to sign'; // §6.3.3 (f)
  return isSignedWith(issuer.publicKey, crl, budget) ? undefined : 'has a bad signature'; // §6.3.3 (g)
}

function readScope(crl: Crl): IssuingDistributionPoint | undefined {
  const extension = findExtension(crl.extensions, ISSUING_DISTRIBUTION_POINT);
  return extension && decodeIssuingDistributionPoint(extension.value);
}

/**
 * Is the certificate within the list's scope (§6.3.3 (b))? A list with a distribution point covers the certificates
 * that name the same point. A list for some reasons alone revokes what it covers, and leaves other reasons open.
 */
function covers(crl: Crl, subject: Facts): boolean {
  const scope = readScope(crl);
  if (scope === undefined) return true;
  const authority = subject.basicConstraints?.ca === true;
  if (scope.onlyAttributeCerts || (authority ? scope.onlyUserCerts : scope.onlyCaCerts)) return false;
  const { name } = scope;
  if (name === undefined) return true;
  return subject.distributionPoints?.some((point) => point.name !== undefined && samePoint(point.name, name)) ?? false;
}

function samePoint(a: DistributionPointName, b: DistributionPointName): boolean {
  if ('relativeName' in a || 'relativeName' in b) {
    return 'relativeName' in a && 'relativeName' in b && sameBytes(a.relativeName, b.relativeName);
  }
  const encoded = new Set(a.fullName.map(asText));
  return b.fullName.some((name) => encoded.has(asText(name)));
}

function asText(name: GeneralName): string {
  return Buffer.from(encodeGeneralName(name)).toString('base64');
}
