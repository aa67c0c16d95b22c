import { hash } from 'node:crypto';
import { isWritError } from '../base/error.ts';
import { sameBytes } from '../der/bytes.ts';
import { verifySignature } from './algorithm.ts';
import { type Certificate, parseCertificate } from './certificate.ts';
import { findExtension } from './extension.ts';
import { BASIC_CONSTRAINTS } from './extensions/basic-constraints.ts';
import { decodeExtendedKeyUsage, EXTENDED_KEY_USAGE, OCSP_SIGNING } from './extensions/extended-key-usage.ts';
import { decodeKeyUsage, KEY_USAGE } from './extensions/key-usage.ts';
import { SUBJECT_ALT_NAME } from './extensions/subject-alt-name.ts';
import { isIssuedBy, issuerHashes } from './ocsp-cert-id.ts';
import {
  type BasicOcspResponse,
  type OcspResponse,
  type OcspStatus,
  parseOcspResponse,
  type SingleOcspResponse,
} from './ocsp-response.ts';
import { parsePublicKey } from './public-key.ts';

/** What an OCSP answer is held against. */
export interface OcspExpectation {
  /** The certificate that was asked about, and the authority that signed it. */
  readonly certificate: Certificate;
  readonly issuer: Certificate;
  /** Milliseconds. */
  readonly now: number;
  /** That of the question, where it had one. */
  readonly nonce?: Uint8Array | undefined;
}

export type OcspJudgement =
  | {
      readonly kind: 'answer';
      readonly status: OcspStatus;
      /** Milliseconds. */
      readonly thisUpdate: number;
      readonly nextUpdate: number;
    }
  /** Why it says nothing: a clause that goes on after "The OCSP answer". */
  | { readonly kind: 'refused'; readonly why: string };

/** By how much clocks may differ, in milliseconds. */
const SKEW = 30_000;

/** Critical extensions that are understood in the certificate of a responder. */
const UNDERSTOOD: ReadonlySet<string> = new Set([BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE, SUBJECT_ALT_NAME]);

/**
 * Holds an answer (DER) against all of RFC 6960 §3.2: it is about this certificate, signed by its issuer or by whom that
 * certified to do so, for now, and answers this question. Throws nothing.
 */
export function judgeOcspResponse(der: Uint8Array, expected: OcspExpectation): OcspJudgement {
  try {
    return judge(parseOcspResponse(der), expected);
  } catch (error) {
    if (!isWritError(error)) throw error;
    return refused('is malformed');
  }
}

function judge(response: OcspResponse, { certificate, issuer, now, nonce }: OcspExpectation): OcspJudgement {
  if (response.kind === 'fault') return refused(`is that there is none: ${response.fault}`);
  const { basic } = response;
  const fault = signerFault(basic, issuer, now);
  if (fault !== undefined) return refused(fault);
  if (nonce !== undefined && (basic.nonce === undefined || !sameBytes(basic.nonce, nonce))) {
    return refused('is none to this question: its nonce is another');
  }
  const hashes = issuerHashes(issuer.subject.raw, issuer.spki);
  const about = ({ certificate: id }: SingleOcspResponse): boolean =>
    sameBytes(id.serial, certificate.serial) && isIssuedBy(id, hashes);
  const single = basic.responses.find(about);
  if (single === undefined) return refused('is not about this certificate');
  const { status, thisUpdate, nextUpdate } = single;
  if (thisUpdate > now + SKEW) return refused('is from the future');
  // Without a next update it would be true for ever (RFC 5019 §2.2.4).
  if (nextUpdate === undefined) return refused('does not say how long it is true');
  if (nextUpdate < now - SKEW) return refused('is out of date');
  return { kind: 'answer', status, thisUpdate, nextUpdate };
}

/** Why whoever signed it may not, or did not (§4.2.2.2). */
function signerFault(basic: BasicOcspResponse, issuer: Certificate, now: number): string | undefined {
  const signers = [...basic.certificates.map(parseCertificate), issuer];
  const signer = signers.find((one) => isResponder(basic.responder, one));
  if (signer === undefined) return 'came without the certificate of who signed it';
  const { signatureAlgorithm, tbs, signature } = basic;
  if (!verifySignature(signatureAlgorithm, parsePublicKey(signer.spki), tbs, signature)) {
    return 'has a signature that does not verify';
  }
  return sameBytes(signer.raw, issuer.raw) ? undefined : delegateFault(signer, issuer, now);
}

function isResponder(responder: BasicOcspResponse['responder'], { subject, spki }: Certificate): boolean {
  if (responder.by === 'name') return sameBytes(subject.raw, responder.name.raw);
  return sameBytes(hash('sha1', parsePublicKey(spki).bits, 'buffer'), responder.keyHash);
}

function delegateFault(signer: Certificate, issuer: Certificate, now: number): string | undefined {
  const { tbs, signature, signatureAlgorithm, extensions } = signer;
  const byIssuer =
    sameBytes(signer.issuer.raw, issuer.subject.raw) &&
    verifySignature(signatureAlgorithm, parsePublicKey(issuer.spki), tbs, signature);
  if (!byIssuer) return 'was signed by somebody whom the issuer did not certify';
  const purposes = findExtension(extensions, EXTENDED_KEY_USAGE);
  if (purposes === undefined || !decodeExtendedKeyUsage(purposes.value).includes(OCSP_SIGNING)) {
    return 'was signed by somebody whom the issuer did not certify to sign it';
  }
  const usage = findExtension(extensions, KEY_USAGE);
  if (usage !== undefined && !decodeKeyUsage(usage.value).includes('digitalSignature')) {
    return 'was signed with a key that may not sign';
  }
  if (extensions.some(({ oid, critical }) => critical && !UNDERSTOOD.has(oid))) {
    return 'was signed by somebody whose certificate cannot be understood';
  }
  // The end of a certificate is the end of that second.
  if (now < signer.notBefore - SKEW || now >= signer.notAfter + 1000) {
    return 'was signed by somebody whose certificate is not valid now';
  }
  return undefined;
}

function refused(why: string): OcspJudgement {
  return { kind: 'refused', why };
}
