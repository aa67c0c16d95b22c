import { WritError } from '../../base/error.ts';
import { assembleOcspResponse, encodeResponseData, type OcspStatus } from '../../x509/ocsp-response.ts';
import { wholeSecond } from '../certificate/prepare.ts';
import { OcspResponder } from './responder.ts';

/** Milliseconds for which an answer is good. What is revoked is still taken for good by who has an answer this old. */
export const OCSP_VALIDITY = 60_000;

export interface OcspAnswers {
  /** Whole CertIDs as they were asked about, and what is known now; at least one. */
  readonly answers: readonly { readonly id: Uint8Array; readonly status: OcspStatus }[];
  /** That of the question (RFC 9654). */
  readonly nonce?: Uint8Array | undefined;
  /** Milliseconds: when the statuses were known to be so. */
  readonly now: number;
}

export interface SignedOcsp {
  /** DER OCSPResponse. */
  readonly der: Uint8Array;
  /** Milliseconds, whole seconds. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
}

/**
 * Signs what is known of certificates (RFC 6960 §4.2.2). Nothing else in the product signs an OCSP answer. Throws
 * `signer_failed` when the key cannot be used, `expired` outside the responder's own life: nobody would take its answer.
 */
export function signOcsp(responder: OcspResponder, { answers, nonce, now }: OcspAnswers): SignedOcsp {
  const thisUpdate = wholeSecond(now);
  const nextUpdate = Math.min(thisUpdate + OCSP_VALIDITY, responder.notAfter);
  if (nextUpdate <= thisUpdate || now < responder.notBefore) {
    throw new WritError('expired', 'The certificate of the OCSP responder is not valid now.');
  }
  const fields = { producedAt: thisUpdate, thisUpdate, nextUpdate, answers, nonce };
  const data = encodeResponseData(responder.template, fields);
  const der = assembleOcspResponse(responder.template, data, OcspResponder.sign(responder, data));
  return { der, thisUpdate, nextUpdate };
}
