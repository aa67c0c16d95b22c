import { isWritError } from '../../base/error.ts';
import { parseJsonObject } from '../../wire/json.ts';
import { type Certificate, parseCertificate } from '../../x509/certificate.ts';
import { openSignedData, parseSignedData, type SignedData } from '../../x509/cms.ts';
import type { EvidenceFault } from '../evidence.ts';

/** A JSON document, and the very certificate whose key signed it. */
export type OpenedDocument =
  | { readonly ok: true; readonly document: Readonly<Record<string, unknown>>; readonly signer: Certificate }
  | { readonly ok: false; readonly fault: EvidenceFault };

/**
 * Opens a PKCS #7 message (base64) whose content is a JSON object. The signature must be by one of the certificates that
 * `candidates` gives: those that the attestor knows, or out of the message, of which the caller then validates `signer` and
 * no other. Throws the errors of parsing.
 */
export function openDocument(base64: string, candidates: (data: SignedData) => readonly Certificate[]): OpenedDocument {
  const data = parseSignedData(Buffer.from(base64, 'base64'));
  const opened = openSignedData(data, candidates(data));
  if (!opened.ok) {
    const faults = { signers: 'malformed', content: 'malformed', unknown: 'unknown-key', signature: 'bad-signature' };
    return { ok: false, fault: faults[opened.fault] as EvidenceFault };
  }
  return { ok: true, document: parseJsonObject(opened.content), signer: opened.signer };
}

/** The certificates that a message brings, without those that are malformed or of a kind that nobody accepts. */
export function usableCertificates({ certificates }: SignedData): Certificate[] {
  return certificates.flatMap((der) => {
    try {
      return [parseCertificate(der)];
    } catch (error) {
      if (isWritError(error)) return [];
      throw error;
    }
  });
}
