import { OCSP_SIGNING } from '../extensions/extended-key-usage.ts';
import type { Lint } from './lint.ts';

/** Who signs OCSP answers signs nothing else, and nobody need ask about its own certificate; both go together. */
export const ocspResponder: Lint = {
  name: 'ocsp_responder',
  clause: 'RFC 6960 §4.2.2.2',
  about: 'all',
  check({ decoded: { purposes = [], ocspNoCheck, distributionPoints, access, noRevAvail }, expected }) {
    const responder = purposes.includes(OCSP_SIGNING);
    if (responder !== (ocspNoCheck === true)) return 'has only one of id-kp-OCSPSigning and id-pkix-ocsp-nocheck';
    if (!responder) return undefined;
    if (expected.kind === 'authority') return 'is an authority that is an OCSP responder, too';
    if (purposes.length > 1) return 'is an OCSP responder’s and has other key purposes';
    if (distributionPoints || access || noRevAvail) return 'is an OCSP responder’s and says where to ask about it';
    return undefined;
  },
};
