import type { TrustDomain } from '../../spiffe-id/trust-domain.ts';
import { type SignatureAlgorithm, keyAlgorithmOf } from '../algorithm.ts';
import { type Certificate, parseCertificate } from '../certificate.ts';
import type { Extension } from '../extension.ts';
import { AUTHORITY_KEY_IDENTIFIER, encodeAuthorityKeyIdentifier } from '../extensions/authority-key-identifier.ts';
import { BASIC_CONSTRAINTS, encodeBasicConstraints } from '../extensions/basic-constraints.ts';
import { CLIENT_AUTH, encodeExtendedKeyUsage, EXTENDED_KEY_USAGE, SERVER_AUTH } from '../extensions/extended-key-usage.ts';
import { encodeKeyUsage, KEY_USAGE } from '../extensions/key-usage.ts';
import { encodeNameConstraints, NAME_CONSTRAINTS } from '../extensions/name-constraints.ts';
import { encodeSubjectAltName, SUBJECT_ALT_NAME } from '../extensions/subject-alt-name.ts';
import { encodeSubjectKeyIdentifier, SUBJECT_KEY_IDENTIFIER } from '../extensions/subject-key-identifier.ts';
import type { ExpectedProfile } from '../lint/expected.ts';
import { encodeName } from '../name.ts';
import { keyIdentifier, parsePublicKey } from '../public-key.ts';
import { assembleCertificate, encodeTbsCertificate, type TbsCertificateFields } from '../tbs-certificate.ts';
import { type TestKey, testKey } from './keys.ts';

const TRUST_DOMAIN: TrustDomain = 'example.org' as TrustDomain;
export const NOW: number = Date.UTC(2026, 0, 1);
const DAY = 86_400_000;

const ANY_IP = [new Uint8Array(8), new Uint8Array(32)];

/** What a Writ root looks like, for tests to take as it is or to change. */
export function rootFields(key: TestKey): TbsCertificateFields {
  const name = encodeName([['O', TRUST_DOMAIN], ['CN', 'Root']]);
  return { ...authorityFields(key, 2), algorithm: key.algorithm, issuer: name, subject: name };
}

/** An issuing authority under `issuer`. */
export function issuingFields(key: TestKey, issuer: Certificate): TbsCertificateFields {
  const fields = authorityFields(key, 0);
  return {
    ...fields,
    serial: Uint8Array.from({ length: 20 }, (_, i) => i + 2),
    algorithm: issuer.signatureAlgorithm,
    issuer: issuer.subject.raw,
    subject: encodeName([['O', TRUST_DOMAIN], ['CN', 'Issuing']]),
    extensions: [...fields.extensions, authorityKey(issuer)],
  };
}

function authorityFields(key: TestKey, pathLength: number): Omit<TbsCertificateFields, 'issuer' | 'subject' | 'algorithm'> {
  const constraints = {
    permitted: [
      { kind: 'uri', value: TRUST_DOMAIN },
      { kind: 'dns', value: TRUST_DOMAIN },
      { kind: 'email', value: 'nobody@invalid' },
    ],
    excluded: ANY_IP.map((value) => ({ kind: 'ip', value }) as const),
  } as const;
  return {
    serial: Uint8Array.from({ length: 20 }, (_, i) => i + 1),
    notBefore: NOW - DAY,
    notAfter: NOW + 90 * DAY,
    spki: key.spki,
    extensions: [
      { oid: BASIC_CONSTRAINTS, critical: true, value: encodeBasicConstraints({ ca: true, pathLength }) },
      { oid: KEY_USAGE, critical: true, value: encodeKeyUsage(['keyCertSign', 'cRLSign']) },
      { oid: NAME_CONSTRAINTS, critical: true, value: encodeNameConstraints(constraints) },
      subjectKey(key),
      {
        oid: SUBJECT_ALT_NAME,
        critical: false,
        value: encodeSubjectAltName([{ kind: 'uri', value: `spiffe://${TRUST_DOMAIN}` }]),
      },
    ],
  };
}

/** An agent's leaf under `issuer`. */
export function leafFields(key: TestKey, issuer: Certificate): TbsCertificateFields {
  const names = [{ kind: 'uri', value: `spiffe://${TRUST_DOMAIN}/agent/planner/01jd0000000000000000000000` }] as const;
  return {
    serial: Uint8Array.from({ length: 20 }, (_, i) => i + 3),
    algorithm: issuer.signatureAlgorithm,
    issuer: issuer.subject.raw,
    notBefore: NOW - 30_000,
    notAfter: NOW + 3_600_000,
    subject: encodeName([]),
    spki: key.spki,
    extensions: [
      { oid: BASIC_CONSTRAINTS, critical: true, value: encodeBasicConstraints({ ca: false }) },
      { oid: KEY_USAGE, critical: true, value: encodeKeyUsage(['digitalSignature']) },
      { oid: EXTENDED_KEY_USAGE, critical: false, value: encodeExtendedKeyUsage([SERVER_AUTH, CLIENT_AUTH]) },
      authorityKey(issuer),
      subjectKey(key),
      { oid: SUBJECT_ALT_NAME, critical: true, value: encodeSubjectAltName(names) },
    ],
  };
}

function subjectKey(key: TestKey): Extension {
  const value = encodeSubjectKeyIdentifier(keyIdentifier(parsePublicKey(key.spki)));
  return { oid: SUBJECT_KEY_IDENTIFIER, critical: false, value };
}

function authorityKey(issuer: Certificate): Extension {
  const value = encodeAuthorityKeyIdentifier(keyIdentifier(parsePublicKey(issuer.spki)));
  return { oid: AUTHORITY_KEY_IDENTIFIER, critical: false, value };
}

export function signFields(fields: TbsCertificateFields, key: TestKey): Certificate {
  const tbs = encodeTbsCertificate(fields);
  return parseCertificate(assembleCertificate(tbs, key.algorithm, key.sign(tbs)));
}

/** Root, issuing authority and leaf, all of one algorithm and one key. */
export function testChain(algorithm: SignatureAlgorithm): { root: Certificate; issuing: Certificate; leaf: Certificate } {
  const key = testKey(algorithm);
  const root = signFields(rootFields(key), key);
  const issuing = signFields(issuingFields(key, root), key);
  return { root, issuing, leaf: signFields(leafFields(key, issuing), key) };
}

/** What the lints are to expect of the certificates above. */
export function expectedOf(kind: 'leaf' | 'root' | 'issuing', algorithm: SignatureAlgorithm): ExpectedProfile {
  const shared = { trustDomain: TRUST_DOMAIN, keys: [keyAlgorithmOf(algorithm)] };
  if (kind === 'leaf') return { ...shared, kind, maxValidity: 3_660_000, purposes: [SERVER_AUTH, CLIENT_AUTH] };
  return { ...shared, kind: 'authority', maxValidity: 100 * DAY, purposes: [], pathLength: kind === 'root' ? 2 : 0 };
}
