import { CLIENT_AUTH, OCSP_SIGNING, SERVER_AUTH } from '../extensions/extended-key-usage.ts';
import type { Lint } from './lint.ts';

/**
 * Where key purposes are given, both sides of TLS are among them, since SPIFFE peers play both. The certificate of an OCSP
 * responder is no SVID: `ca/ocsp/responder.ts` sees to it that it is nothing else.
 */
export const extendedKeyUsageOfSvid: Lint = {
  name: 'extended_key_usage_of_svid',
  clause: 'X.509-SVID §4.4',
  about: 'leaf',
  check({ decoded: { purposes } }) {
    if (purposes === undefined || purposes[0] === OCSP_SIGNING) return undefined;
    if (purposes.includes(SERVER_AUTH) && purposes.includes(CLIENT_AUTH)) return undefined;
    return 'is a leaf with key purposes that lack serverAuth or clientAuth';
  },
};
