import { WritError } from '../base/error.ts';
import { decodePem } from '../der/pem.ts';

/**
 * The DER of a CSR that came as PEM or as base64 of the DER. Throws `bad_csr`. Both labels of PEM that are in use are
 * taken (RFC 7468 §7).
 */
export function decodeCsr(text: string): Uint8Array {
  if (text.includes('-----')) {
    const label = text.includes('BEGIN NEW CERTIFICATE REQUEST') ? 'NEW CERTIFICATE REQUEST' : 'CERTIFICATE REQUEST';
    try {
      return decodePem(text, label);
    } catch (error) {
      throw bad(error instanceof WritError ? `: ${error.message}` : '');
    }
  }
  const base64 = text.trim();
  const der = Buffer.from(base64, 'base64');
  // Node decodes leniently; only the one right spelling encodes back to itself.
  if (der.length === 0 || der.toString('base64') !== base64) throw bad('');
  return der;
}

function bad(why: string): WritError {
  return new WritError('bad_csr', `The CSR is neither one PEM block nor base64 of its DER${why}.`, {
    field: '/csr',
    remedy: 'Send PEM that begins with -----BEGIN CERTIFICATE REQUEST-----, or base64 without line breaks.',
  });
}
