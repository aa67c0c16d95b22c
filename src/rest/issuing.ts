import { isWritError, WritError } from '../base/error.ts';
import type { IssuedCertificate } from '../issuance/issued.ts';
import type { Wish } from '../issuance/parts.ts';
import type * as wire from '../wire/certificate.ts';
import { issuedAnswer } from './certificate-answers.ts';
import { decodeCsr } from './csr.ts';

/** What every request for a certificate says, as the flows take it. */
export function requestOf(body: wire.Wanted): { csr: Uint8Array; wish: Wish } {
  return {
    csr: decodeCsr(body.csr),
    wish: {
      lifetime: body.lifetime_seconds,
      dnsNames: body.dns_names,
      ipAddresses: body.ip_addresses,
      scopes: body.scopes,
    },
  };
}

/** Gives the answer of an issue. `pemOf` is for its chain. */
export function issuedOrFault(
  pemOf: (der: Uint8Array) => string,
): (issued: Promise<IssuedCertificate>) => Promise<wire.IssuedCertificate> {
  return async (issued) => {
    try {
      return issuedAnswer(await issued, pemOf);
    } catch (error) {
      throw csrFault(error);
    }
  };
}

/** The parser of DER says where in the octets; here it is said which field they came in. */
function csrFault(error: unknown): unknown {
  if (!isWritError(error, 'bad_der')) return error;
  const { message, field, remedy = 'Make the request again with a tool that writes strict DER.' } = error;
  return new WritError('bad_csr', field === undefined ? message : `${message} (${field})`, { field: '/csr', remedy });
}
