import { hash, type KeyObject, sign } from 'node:crypto';
import { WritError } from '../../base/error.ts';
import { sameBytes } from '../../der/bytes.ts';
import type { KeyAlgorithm } from '../../keys/generate.ts';
import type { SignatureAlgorithm } from '../../x509/algorithm.ts';
import { parseCertificate } from '../../x509/certificate.ts';
import { type OcspResponseTemplate, ocspResponseTemplate } from '../../x509/ocsp-response.ts';
import { parsePublicKey } from '../../x509/public-key.ts';
import { makeFreshKey } from '../certificate/fresh-key.ts';

/** A key that was just made, in this process, for an OCSP responder, and the request for its certificate. */
export interface ResponderKey {
  /** DER. */
  readonly csr: Uint8Array;
  /** The responder, once its certificate (DER) is there. Throws `signer_failed` for a certificate of another key. */
  open(certificate: Uint8Array): OcspResponder;
}

/** Makes a key. It stays in this process, is in no file and no database, and ends with the process at the latest. */
export async function makeResponderKey(authorities: KeyAlgorithm): Promise<ResponderKey> {
  const { key, signer, csr } = await makeFreshKey(authorities);
  return { csr, open: (certificate) => new OcspResponder(key, signer, certificate) };
}

/**
 * Who signs the answers about what one authority signed. The key lies in a private field and is used through `sign`
 * alone, which only `sign.ts` imports.
 */
export class OcspResponder {
  /** Content octets of the serial number of its certificate. */
  readonly serial: Uint8Array;
  /** Milliseconds: the bounds of its certificate. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly template: OcspResponseTemplate;
  readonly #key: KeyObject;
  readonly #digest: string | null;

  constructor(
    key: KeyObject,
    { algorithm, spki }: { readonly algorithm: SignatureAlgorithm; readonly spki: Uint8Array },
    der: Uint8Array,
  ) {
    const certificate = parseCertificate(der);
    if (!sameBytes(certificate.spki, spki)) {
      throw new WritError('signer_failed', 'The certificate of the OCSP responder is for another key.');
    }
    this.serial = certificate.serial;
    this.notBefore = certificate.notBefore;
    this.notAfter = certificate.notAfter;
    // RFC 6960 §4.2.1: the key is named by SHA-1, whatever else is signed with
    const keyHash = hash('sha1', parsePublicKey(spki).bits, 'buffer');
    this.template = ocspResponseTemplate(algorithm, keyHash, der);
    this.#key = key;
    this.#digest = algorithm === 'ecdsa-p256-sha256' ? 'sha256' : null;
  }

  /** For `sign.ts` alone. Without waiting: an answer that waits for its signature may no longer be true. */
  static sign(responder: OcspResponder, responseData: Uint8Array): Uint8Array {
    try {
      return sign(responder.#digest, responseData, responder.#key);
    } catch (cause) {
      throw new WritError('signer_failed', 'The key of the OCSP responder could not sign.', { cause });
    }
  }
}
