/** Where a certificate says that its status is to be had. */
import { X509Certificate } from 'node:crypto';
import { parseCertificate } from '../../src/x509/certificate.ts';
import { findExtension } from '../../src/x509/extension.ts';
import { AUTHORITY_INFO_ACCESS, decodeAuthorityInfoAccess } from '../../src/x509/extensions/authority-info-access.ts';
import {
  CRL_DISTRIBUTION_POINTS,
  decodeCrlDistributionPoints,
} from '../../src/x509/extensions/crl-distribution-points.ts';

/** The URLs in a certificate: of its list, its issuer and its responder. */
export function pointersOf(certificate: string): { readonly list: string; readonly access: readonly string[] } {
  const { extensions } = parseCertificate(new Uint8Array(new X509Certificate(certificate).raw));
  const [point] = decodeCrlDistributionPoints(findExtension(extensions, CRL_DISTRIBUTION_POINTS)!.value);
  const access = decodeAuthorityInfoAccess(findExtension(extensions, AUTHORITY_INFO_ACCESS)!.value);
  const urlOf = (name: unknown): string => (name as { value: string }).value;
  const names = point!.name as { fullName: readonly unknown[] };
  return { list: urlOf(names.fullName[0]), access: access.map(({ location }) => urlOf(location)) };
}
