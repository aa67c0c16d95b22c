import { WritError } from '../../base/error.ts';
import type { Random } from '../../base/random.ts';
import type { Name } from '../../spiffe-id/name.ts';
import { responderId } from '../../spiffe-id/subject.ts';
import {
  AUTHORITY_KEY_IDENTIFIER,
  encodeAuthorityKeyIdentifier,
} from '../../x509/extensions/authority-key-identifier.ts';
import { BASIC_CONSTRAINTS, encodeBasicConstraints } from '../../x509/extensions/basic-constraints.ts';
import { EXTENDED_KEY_USAGE, encodeExtendedKeyUsage, OCSP_SIGNING } from '../../x509/extensions/extended-key-usage.ts';
import { encodeKeyUsage, KEY_USAGE } from '../../x509/extensions/key-usage.ts';
import { encodeOcspNoCheck, OCSP_NO_CHECK } from '../../x509/extensions/ocsp-no-check.ts';
import { encodeSubjectAltName, SUBJECT_ALT_NAME } from '../../x509/extensions/subject-alt-name.ts';
import { encodeSubjectKeyIdentifier, SUBJECT_KEY_IDENTIFIER } from '../../x509/extensions/subject-key-identifier.ts';
import { encodeName } from '../../x509/name.ts';
import { keyIdentifier, type PublicKey } from '../../x509/public-key.ts';
import { encodeTbsCertificate } from '../../x509/tbs-certificate.ts';
import { BACKDATING, wholeSecond } from '../certificate/prepare.ts';
import { makeSerial } from '../certificate/serial.ts';
import { type Prepared, prepared } from '../certificate/token.ts';
import type { Issuer } from '../issuer.ts';
import type { Profile } from '../profile/profile.ts';

/** Seconds. Nobody can revoke the certificate, so this is how long a stolen key of a responder would be of use. */
const LIFETIME = 6 * 3600;

/**
 * What certificates of OCSP responders look like. No data like the profiles of leaves: their form is RFC 6960's, and
 * nobody but Writ itself gets one.
 */
export const RESPONDER_PROFILE: Profile = {
  name: 'responder' as Name,
  subjects: ['responder'],
  keys: ['ec-p256', 'ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'],
  lifetime: { default: LIFETIME, least: LIFETIME, most: LIFETIME },
  dns: [],
  networks: [],
  context: false,
  // It names neither CRL nor OCSP.
  revocation: 'ephemeral',
};

/**
 * Prepares the certificate of an OCSP responder for the answers about what `issuer` signed: whatever kind of authority
 * that is, also one that signs leaves no more (RFC 6960 §4.2.2.2 demands its certificate from nobody else). `now` in
 * milliseconds. Throws as `prepareLeaf`.
 */
export function prepareResponder(
  issuer: Issuer,
  key: PublicKey,
  { now, random }: { readonly now: number; readonly random: Random },
): Prepared {
  if (!RESPONDER_PROFILE.keys.includes(key.algorithm)) {
    throw new WritError('bad_csr', `An OCSP responder has no key of kind ${key.algorithm}.`, { field: '/csr' });
  }
  const lifetime = Math.min(LIFETIME, Math.floor((issuer.notAfter - now) / 1000));
  if (lifetime < 1) throw new WritError('expired', 'The authority that the responder would answer for has expired.');
  if (now < issuer.notBefore) throw new WritError('clock', 'The clock is behind the begin of the authority.');
  const serial = makeSerial(now, lifetime, random);
  const expiresAt = now + lifetime * 1000;
  const names = [{ kind: 'uri', value: responderId(issuer.trustDomain).uri }] as const;
  const tbs = encodeTbsCertificate({
    serial,
    algorithm: issuer.algorithm,
    issuer: issuer.name,
    notBefore: Math.max(issuer.notBefore, wholeSecond(now - BACKDATING)),
    notAfter: wholeSecond(expiresAt),
    subject: encodeName([]),
    spki: key.spki,
    extensions: [
      { oid: KEY_USAGE, critical: true, value: encodeKeyUsage(['digitalSignature']) },
      { oid: EXTENDED_KEY_USAGE, critical: false, value: encodeExtendedKeyUsage([OCSP_SIGNING]) },
      { oid: OCSP_NO_CHECK, critical: false, value: encodeOcspNoCheck() },
      { oid: BASIC_CONSTRAINTS, critical: true, value: encodeBasicConstraints({ ca: false }) },
      { oid: AUTHORITY_KEY_IDENTIFIER, critical: false, value: encodeAuthorityKeyIdentifier(issuer.keyIdentifier) },
      { oid: SUBJECT_KEY_IDENTIFIER, critical: false, value: encodeSubjectKeyIdentifier(keyIdentifier(key)) },
      // RFC 5280 §4.1.2.6: the subject is empty
      { oid: SUBJECT_ALT_NAME, critical: true, value: encodeSubjectAltName(names) },
    ],
  });
  return prepared(issuer, {
    serial,
    issuedAt: now,
    expiresAt,
    tbs,
    expected: {
      kind: 'leaf',
      trustDomain: issuer.trustDomain,
      keys: RESPONDER_PROFILE.keys,
      maxValidity: LIFETIME * 1000 + BACKDATING,
      purposes: [OCSP_SIGNING],
    },
  });
}
