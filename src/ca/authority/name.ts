import type { TrustDomain } from '../../spiffe-id/trust-domain.ts';
import { encodeName } from '../../x509/name.ts';

/** RFC 5280 appendix A: an organisation has at most 64 characters. */
const LONGEST = 64;

const TITLES = { root: 'Root CA', intermediate: 'Intermediate CA', issuing: 'Issuing CA' } as const;

/**
 * The DER Name of an authority: trust domain and id, so that no two authorities ever share a name, and validators never
 * mistake the list of one for that of another. Of a trust domain too long for a name the last labels stand.
 */
export function authorityName(kind: keyof typeof TITLES, trustDomain: TrustDomain, id: string): Uint8Array {
  let organisation: string = trustDomain;
  while (organisation.length > LONGEST) organisation = organisation.slice(organisation.indexOf('.') + 1);
  return encodeName([
    ['O', organisation],
    ['CN', `${TITLES[kind]} ${id}`],
  ]);
}
