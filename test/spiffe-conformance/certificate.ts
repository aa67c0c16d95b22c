/** Certificates with any extensions, right and wrong, by an authority of a test. */
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { encodePem } from '../../src/der/pem.ts';
import type { Extension } from '../../src/x509/extension.ts';
import {
  AUTHORITY_KEY_IDENTIFIER,
  encodeAuthorityKeyIdentifier,
} from '../../src/x509/extensions/authority-key-identifier.ts';
import { BASIC_CONSTRAINTS, encodeBasicConstraints } from '../../src/x509/extensions/basic-constraints.ts';
import { EXTENDED_KEY_USAGE, encodeExtendedKeyUsage } from '../../src/x509/extensions/extended-key-usage.ts';
import { encodeKeyUsage, KEY_USAGE, type KeyUsage } from '../../src/x509/extensions/key-usage.ts';
import { encodeSubjectAltName, SUBJECT_ALT_NAME } from '../../src/x509/extensions/subject-alt-name.ts';
import {
  encodeSubjectKeyIdentifier,
  SUBJECT_KEY_IDENTIFIER,
} from '../../src/x509/extensions/subject-key-identifier.ts';
import { encodeName } from '../../src/x509/name.ts';
import { keyIdentifier, parsePublicKey } from '../../src/x509/public-key.ts';
import { assembleCertificate, encodeTbsCertificate } from '../../src/x509/tbs-certificate.ts';

export interface Wanted {
  readonly uris?: readonly string[];
  readonly dns?: readonly string[];
  readonly ca?: boolean;
  /** Null: no such extension. */
  readonly usages?: readonly KeyUsage[] | null;
  readonly purposes?: readonly string[];
  readonly subject?: string;
  readonly pathLength?: number;
  readonly more?: readonly Extension[];
  readonly by?: Issuer;
}

interface Issuer {
  readonly key: KeyObject;
  readonly subject: Uint8Array;
}

export interface Made extends Issuer {
  readonly der: Uint8Array;
  readonly pem: string;
  readonly keyPem: string;
}

/** A certificate as it is wanted: by itself unless another signs. */
export function certificate(wanted: Wanted): Made {
  const { uris = [], dns = [], ca = false, usages, purposes, by, more = [] } = wanted;
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = spkiOf(privateKey);
  const subject = encodeName(
    wanted.subject === undefined
      ? ca
        ? [['CN', `Test ${randomBytes(4).toString('hex')}`]]
        : []
      : [['CN', wanted.subject]],
  );
  const names = [
    ...uris.map((value) => ({ kind: 'uri', value }) as const),
    ...dns.map((value) => ({ kind: 'dns', value }) as const),
  ];
  const usage =
    usages === undefined ? (ca ? (['keyCertSign', 'cRLSign'] as const) : (['digitalSignature'] as const)) : usages;
  const issuer = by ?? { key: privateKey, subject };
  const serial = randomBytes(20);
  serial[0] = 1;
  const now = Math.floor(Date.now() / 1000) * 1000;
  const extensions: Extension[] = [
    ...(names.length === 0 ? [] : [{ oid: SUBJECT_ALT_NAME, critical: !ca, value: encodeSubjectAltName(names) }]),
    {
      oid: BASIC_CONSTRAINTS,
      critical: true,
      value: encodeBasicConstraints({
        ca,
        ...(wanted.pathLength === undefined ? {} : { pathLength: wanted.pathLength }),
      }),
    },
    ...(usage === null ? [] : [{ oid: KEY_USAGE, critical: true, value: encodeKeyUsage(usage) }]),
    ...(purposes === undefined
      ? []
      : [{ oid: EXTENDED_KEY_USAGE, critical: false, value: encodeExtendedKeyUsage(purposes) }]),
    {
      oid: SUBJECT_KEY_IDENTIFIER,
      critical: false,
      value: encodeSubjectKeyIdentifier(keyIdentifier(parsePublicKey(spki))),
    },
    {
      oid: AUTHORITY_KEY_IDENTIFIER,
      critical: false,
      value: encodeAuthorityKeyIdentifier(keyIdentifier(parsePublicKey(spkiOf(issuer.key)))),
    },
    ...more,
  ];
  const tbs = encodeTbsCertificate({
    ...{ serial, algorithm: 'ecdsa-p256-sha256', issuer: issuer.subject, subject, spki, extensions },
    notBefore: now - 3_600_000,
    notAfter: now + 3_600_000,
  });
  const der = assembleCertificate(tbs, 'ecdsa-p256-sha256', sign('sha256', tbs, issuer.key));
  const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  return { key: privateKey, subject, der, pem: encodePem('CERTIFICATE', der), keyPem };
}

function spkiOf(key: KeyObject): Uint8Array {
  return new Uint8Array(createPublicKey(key).export({ type: 'spki', format: 'der' }));
}
