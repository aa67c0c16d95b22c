import { sameBytes } from '../der/bytes.ts';
import { VOUCHED_AFTER_MS } from '../wire/feed-statement.ts';
import type { Certificate } from '../x509/certificate.ts';
import { findExtension } from '../x509/extension.ts';
import { decodeSubjectKeyIdentifier, SUBJECT_KEY_IDENTIFIER } from '../x509/extensions/subject-key-identifier.ts';
import { parseOcspResponse } from '../x509/ocsp-response.ts';
import { judgeOcspResponse } from '../x509/ocsp-verify.ts';

export interface Vouching {
  /** `issuer:<hex>` of the authority that is held. */
  readonly subject: string;
  /** Milliseconds of the server's clock. */
  readonly heldSince: number;
  /** Certificates among which it and the one above it are. */
  readonly chain: readonly Certificate[];
  /** Answers of OCSP, base64 of DER. */
  readonly vouchers: readonly string[];
}

/**
 * Whether the authority above one that is held has said since that it is good (RFC 6960 §3.2). As of the time of the
 * answer: the hold is what it is about, and who says that there is another hold says so in the feed.
 */
export function isVouched({ subject, heldSince, chain, vouchers }: Vouching): boolean {
  const certificate = chain.find((one) => subject === `issuer:${keyOf(one)}`);
  const issuer = chain.find(
    ({ subject: name }) => certificate !== undefined && sameBytes(name.raw, certificate.issuer.raw),
  );
  if (certificate === undefined || issuer === undefined || !Array.isArray(vouchers)) return false;
  return vouchers.some((voucher) => {
    const der = Buffer.from(String(voucher), 'base64');
    const judged = judgeOcspResponse(der, { certificate, issuer, now: timeOf(der) });
    return (
      judged.kind === 'answer' && judged.status.kind === 'good' && judged.thisUpdate > heldSince + VOUCHED_AFTER_MS
    );
  });
}

/** When it was signed; milliseconds. */
function timeOf(der: Uint8Array): number {
  try {
    const response = parseOcspResponse(der);
    return response.kind === 'fault' ? 0 : response.basic.producedAt;
  } catch {
    return 0;
  }
}

function keyOf({ extensions }: Certificate): string | undefined {
  const extension = findExtension(extensions, SUBJECT_KEY_IDENTIFIER);
  return extension === undefined ? undefined : Buffer.from(decodeSubjectKeyIdentifier(extension.value)).toString('hex');
}
