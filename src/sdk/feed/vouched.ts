import { VOUCHED_AFTER_MS } from '../../wire/feed-statement.ts';
import type { Certificate } from '../../x509/certificate.ts';
import { parseOcspResponse } from '../../x509/ocsp-response.ts';
import { judgeOcspResponse } from '../../x509/ocsp-verify.ts';
import { keyOf } from '../peer/facts.ts';

export interface Vouching {
  /** `issuer:<hex>` of the authority that is held. */
  readonly subject: string;
  /** Milliseconds of the server's clock. */
  readonly heldSince: number;
  /** The signer's certificate and those above it, each signed by the next, the root too. */
  readonly chain: readonly Certificate[];
  /** Answers of OCSP, base64 of DER. */
  readonly vouchers: readonly string[];
}

/**
 * Whether the authority above one that is held has said since that it is good (RFC 6960 §3.2). As of the time of the
 * answer: the hold is what it is about, and who says that there is another hold says so in the feed.
 */
export function isVouched({ subject, heldSince, chain, vouchers }: Vouching): boolean {
  if (!Array.isArray(vouchers)) return false;
  const held = [...chain.keys()].filter((at) => at > 0 && keyOf(chain[at]!) === subject);
  // The signer itself is never the one in question, whatever key it says that it has: the held authority could vouch for it. Nor
  // does a root, which has nobody above it.
  return held.length > 0 && held.every((at) => hasGoodAnswer(chain[at]!, chain[at + 1], { heldSince, vouchers }));
}

function hasGoodAnswer(
  certificate: Certificate,
  issuer: Certificate | undefined,
  { heldSince, vouchers }: Pick<Vouching, 'heldSince' | 'vouchers'>,
): boolean {
  if (issuer === undefined) return false;
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
