import { isWritError, WritError } from '../../base/error.ts';
import { decodePem } from '../../der/pem.ts';
import { type Certificate, parseCertificate } from '../../x509/certificate.ts';
import { type PathPolicy, RFC5280 } from '../../x509/path/policy.ts';
import { type PathRequest, validatePath } from '../../x509/path/validate.ts';
import type { EvidenceFault } from '../evidence.ts';

/** One PEM certificate each. Throws `bad_pem`, `bad_der`, `bad_certificate` and `too_large`. */
export function parseCertificates(pems: readonly string[]): Certificate[] {
  return pems.map((pem) => parseCertificate(decodePem(pem, 'CERTIFICATE')));
}

/** As `parseCertificates`, for parameters: throws `bad_certificate` with the place in `field`, a JSON pointer. */
export function parseTrusted(pems: readonly string[], field: string): Certificate[] {
  return pems.map((pem, at) => {
    try {
      return parseCertificate(decodePem(pem, 'CERTIFICATE'));
    } catch (cause) {
      if (!isWritError(cause)) throw cause;
      throw new WritError('bad_certificate', `The certificate cannot be used: ${cause.message}.`, {
        field: `${field}/${at}`,
        remedy: 'Give one certificate in PEM.',
        cause,
      });
    }
  });
}

/** Certificates of machines: no authority proves that it is one. */
const MACHINES: PathPolicy = { ...RFC5280, name: 'machines', leafMayBeAuthority: false };

/**
 * The path from this very certificate to one of the roots, leaf first, or why there is none. Whoever uses a key of the
 * evidence takes it from the certificate that was handed in here.
 */
export function trustedPath(
  request: Pick<PathRequest, 'leaf' | 'intermediates' | 'anchors' | 'at' | 'purpose' | 'keyUsage'>,
):
  | { readonly ok: true; readonly path: readonly Certificate[] }
  | { readonly ok: false; readonly fault: EvidenceFault } {
  const result = validatePath({ ...request, policy: MACHINES });
  if (result.valid) return { ok: true, path: result.path };
  if (result.reason === 'expired') return { ok: false, fault: 'expired' };
  return { ok: false, fault: result.reason === 'not_yet_valid' ? 'not-yet-valid' : 'untrusted-chain' };
}
