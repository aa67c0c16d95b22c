import { sha256 } from '../../base/sha256.ts';
import type { JsonValue } from '../../db/batch.ts';
import { parseSpiffeId } from '../../spiffe-id/spiffe-id.ts';
import { subjectOf } from '../../spiffe-id/subject.ts';
import { parseCertificate } from '../../x509/certificate.ts';
import { findExtension } from '../../x509/extension.ts';
import { CRL_DISTRIBUTION_POINTS, decodeCrlDistributionPoints } from '../../x509/extensions/crl-distribution-points.ts';
import { decodeSubjectAltName, SUBJECT_ALT_NAME } from '../../x509/extensions/subject-alt-name.ts';
import { readSerial } from '../certificate/serial.ts';
import { shardOfUrl } from '../status-url.ts';
import type { NewCertificate } from './certificates.ts';

/** What the index has to say of a certificate, but for the one before it. */
export type RecordedCertificate = Omit<NewCertificate, 'previous'>;

/** The row that the entry of an issue asks for, or what is wrong with the entry. `body` is the entry's. */
export function recordedCertificate(body: { readonly [member: string]: JsonValue }): RecordedCertificate | string {
  const { certificate: text, profile, issuer } = body;
  if (typeof text !== 'string' || typeof profile !== 'string' || typeof issuer !== 'string') {
    return 'issues a certificate without saying which';
  }
  try {
    const certificate = parseCertificate(new Uint8Array(Buffer.from(text, 'base64url')));
    const times = readSerial(certificate.serial);
    const names = findExtension(certificate.extensions, SUBJECT_ALT_NAME);
    const uri = names === undefined ? undefined : decodeSubjectAltName(names.value).find(({ kind }) => kind === 'uri');
    const id = parseSpiffeId(String(uri?.value));
    const subject = subjectOf(id, id.trustDomain);
    const points = findExtension(certificate.extensions, CRL_DISTRIBUTION_POINTS);
    const shard = points === undefined ? undefined : shardOf(points.value);
    if (times === undefined || subject === undefined) return 'issues a certificate that is none of ours';
    return {
      serial: certificate.serial,
      kind: subject.kind,
      name: 'name' in subject ? subject.name : subject.kind,
      ...('instance' in subject ? { instance: subject.instance } : {}),
      profile,
      issuedAt: times.issuedAt,
      expiresAt: times.expiresAt,
      spkiHash: sha256(certificate.spki),
      issuer,
      ...(shard === undefined ? {} : { shard }),
    };
  } catch {
    return 'issues a certificate that cannot be read';
  }
}

/** The shard that a certificate names. */
function shardOf(points: Uint8Array): string | undefined {
  const [point] = decodeCrlDistributionPoints(points);
  const [name] = point?.name !== undefined && 'fullName' in point.name ? point.name.fullName : [];
  return name?.kind === 'uri' ? shardOfUrl(name.value) : undefined;
}
