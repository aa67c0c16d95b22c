import type { GeneralName } from '../general-name.ts';
import type { Lint } from './lint.ts';

/**
 * CRLs, responders and issuers' certificates are fetched by plain HTTP: over HTTPS the status of the server's own
 * certificate would have to be fetched first (RFC 5280 §8).
 */
export const revocationPointers: Lint = {
  name: 'revocation_pointers',
  clause: 'RFC 5280 §4.2.1.13',
  about: 'all',
  check({ decoded: { distributionPoints, access } }) {
    for (const { name, someReasons, crlIssuer } of distributionPoints ?? []) {
      if (someReasons || crlIssuer) return 'has a distribution point of a partial or indirect CRL';
      if (!(name && 'fullName' in name && name.fullName.every(isHttp))) return 'has a distribution point without http:';
    }
    for (const { location } of access ?? []) {
      if (!isHttp(location)) return 'has an access location without http:';
    }
    return undefined;
  },
};

function isHttp(name: GeneralName): boolean {
  return name.kind === 'uri' && name.value.startsWith('http://');
}
