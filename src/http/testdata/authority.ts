import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { encodePem } from '../../der/pem.ts';
import { type SignatureAlgorithm } from '../../x509/algorithm.ts';
import type { Extension } from '../../x509/extension.ts';
import { AUTHORITY_KEY_IDENTIFIER, encodeAuthorityKeyIdentifier } from '../../x509/extensions/authority-key-identifier.ts';
import { BASIC_CONSTRAINTS, encodeBasicConstraints } from '../../x509/extensions/basic-constraints.ts';
import {
  CLIENT_AUTH,
  EXTENDED_KEY_USAGE,
  encodeExtendedKeyUsage,
  SERVER_AUTH,
} from '../../x509/extensions/extended-key-usage.ts';
import { encodeKeyUsage, KEY_USAGE } from '../../x509/extensions/key-usage.ts';
import { encodeSubjectAltName, SUBJECT_ALT_NAME } from '../../x509/extensions/subject-alt-name.ts';
import { encodeSubjectKeyIdentifier, SUBJECT_KEY_IDENTIFIER } from '../../x509/extensions/subject-key-identifier.ts';
import { encodeName } from '../../x509/name.ts';
import { keyIdentifier, parsePublicKey } from '../../x509/public-key.ts';
import { assembleCertificate, encodeTbsCertificate } from '../../x509/tbs-certificate.ts';

/** A certificate made for a test, with its key. */
interface Made {
  readonly key: KeyObject;
  readonly keyPem: string;
  readonly der: Uint8Array;
  readonly pem: string;
}

export interface TestAuthority extends Made {
  /** An authority below this one. */
  authority(name: string): TestAuthority;
  /** A certificate of another authority's name and key, by this one. */
  cross(other: Pick<TestAuthority, 'key' | 'subject'>, options?: { readonly pathLength?: number }): Made;
  /** DER. */
  readonly subject: Uint8Array;
  /** A leaf with one URI and perhaps DNS names and loopback; good from an hour ago for `lifetime` ms from now. */
  leaf(options: LeafOptions): Made;
}

interface LeafOptions {
  readonly uri: string;
  readonly dns?: readonly string[];
  readonly loopback?: boolean;
  /** Milliseconds from now; default an hour. Negative: expired. */
  readonly lifetime?: number;
  readonly key?: KeyKind;
  readonly usages?: readonly string[];
}

export type KeyKind = 'p256' | 'p384' | 'ed25519' | 'ml-dsa-44' | 'ml-dsa-65' | 'rsa';

const HOUR = 3_600_000;

export function testAuthority(name = 'Test Root'): TestAuthority {
  return makeAuthority(name, undefined);
}

function makeAuthority(name: string, above: Issuer | undefined): TestAuthority {
  const self = { key: newKey('p256'), subject: encodeName([['CN', name]]) };
  return {
    ...certifyAuthority(above ?? self, self),
    subject: self.subject,
    authority: (below) => makeAuthority(below, self),
    cross: (other, options) => certifyAuthority(self, other, options),
    leaf: (options) => makeLeaf(self, options),
  };
}

interface Issuer {
  readonly key: KeyObject;
  /** DER. */
  readonly subject: Uint8Array;
}

/** A certificate of an authority, by itself or by another. */
export function certifyAuthority(issuer: Issuer, { key, subject }: Issuer, options: { readonly pathLength?: number } = {}): Made {
  return certify(issuer, key, subject, HOUR * 24, [
    { oid: BASIC_CONSTRAINTS, critical: true, value: encodeBasicConstraints({ ca: true, ...options }) },
    { oid: KEY_USAGE, critical: true, value: encodeKeyUsage(['keyCertSign', 'cRLSign']) },
  ]);
}

function makeLeaf(issuer: Issuer, options: LeafOptions): Made {
  const names = [
    { kind: 'uri', value: options.uri } as const,
    ...(options.dns ?? []).map((value) => ({ kind: 'dns', value }) as const),
    ...(options.loopback === true ? [{ kind: 'ip', value: new Uint8Array([127, 0, 0, 1]) } as const] : []),
  ];
  return certify(issuer, newKey(options.key ?? 'p256'), encodeName([]), options.lifetime ?? HOUR, [
    { oid: SUBJECT_ALT_NAME, critical: true, value: encodeSubjectAltName(names) },
    { oid: BASIC_CONSTRAINTS, critical: true, value: encodeBasicConstraints({ ca: false }) },
    { oid: KEY_USAGE, critical: true, value: encodeKeyUsage(['digitalSignature']) },
    {
      oid: EXTENDED_KEY_USAGE,
      critical: false,
      value: encodeExtendedKeyUsage(options.usages ?? [SERVER_AUTH, CLIENT_AUTH]),
    },
  ]);
}

function certify(
  issuer: Issuer,
  key: KeyObject,
  subject: Uint8Array,
  lifetime: number,
  extensions: readonly Extension[],
): Made {
  const spki = spkiOf(key);
  const algorithm: SignatureAlgorithm = 'ecdsa-p256-sha256';
  const serial = randomBytes(20);
  serial[0] = 1;
  const now = Math.floor(Date.now() / 1000) * 1000;
  const tbs = encodeTbsCertificate({
    serial,
    algorithm,
    issuer: issuer.subject,
    notBefore: now - 24 * HOUR,
    notAfter: now + lifetime,
    subject,
    spki,
    extensions: [
      ...extensions,
      { oid: SUBJECT_KEY_IDENTIFIER, critical: false, value: encodeSubjectKeyIdentifier(keyIdentifier(parsePublicKey(spki))) },
      {
        oid: AUTHORITY_KEY_IDENTIFIER,
        critical: false,
        value: encodeAuthorityKeyIdentifier(keyIdentifier(parsePublicKey(spkiOf(issuer.key)))),
      },
    ],
  });
  const der = assembleCertificate(tbs, algorithm, sign('sha256', tbs, issuer.key));
  const keyPem = key.export({ type: 'pkcs8', format: 'pem' }) as string;
  return { key, keyPem, der, pem: encodePem('CERTIFICATE', der) };
}

function spkiOf(key: KeyObject): Uint8Array {
  return new Uint8Array(createPublicKey(key).export({ type: 'spki', format: 'der' }));
}

function newKey(kind: KeyKind): KeyObject {
  if (kind === 'p256') return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  if (kind === 'p384') return generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey;
  if (kind === 'rsa') return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  return generateKeyPairSync(kind as 'ed25519').privateKey;
}
