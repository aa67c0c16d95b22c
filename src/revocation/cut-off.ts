import { readCertificate } from '../ca/index/certificates.ts';
import type { MarkingParts } from './parts.ts';
import { readStoppedAuthorities } from './stopped-authorities.ts';

const SERIALS =
  "SELECT c.serial FROM operator_certificate c JOIN operator o ON o.name = c.operator WHERE o.status = 'active' AND " +
  "o.person <> '' AND c.expires_at > ?";

/**
 * Whether every person who runs the installation is refused because the authority is stopped that certified them. Whose own
 * certificate was revoked or quarantined counts as if it were good: whoever stops another is not alone by that.
 */
export async function areOperatorsCutOff({
  reader,
  certificates,
  clock,
}: Pick<MarkingParts, 'reader' | 'certificates' | 'clock'>): Promise<boolean> {
  const stopped = await readStoppedAuthorities(reader);
  if (stopped.size === 0) return false;
  for (const row of await reader.all(SERIALS, [clock.now()])) {
    const certificate = await readCertificate(certificates, row['serial'] as Uint8Array);
    if (certificate === undefined || !stopped.has(certificate.issuer)) return false;
  }
  return true;
}
