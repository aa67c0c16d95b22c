import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { assembleSigned } from '../../signed.ts';
import { type Certificate, parseCertificate } from '../../certificate.ts';
import { type Crl, encodeTbsCertList, parseCrl, type RevokedCertificate } from '../../crl.ts';
import type { Extension } from '../../extension.ts';
import { AUTHORITY_KEY_IDENTIFIER, encodeAuthorityKeyIdentifier } from '../../extensions/authority-key-identifier.ts';
import { BASIC_CONSTRAINTS, encodeBasicConstraints } from '../../extensions/basic-constraints.ts';
import { CRL_NUMBER, encodeCrlNumber } from '../../extensions/crl-number.ts';
import { encodeKeyUsage, KEY_USAGE, type KeyUsage } from '../../extensions/key-usage.ts';
import { encodeNameConstraints, NAME_CONSTRAINTS, type NameConstraints } from '../../extensions/name-constraints.ts';
import { encodeSubjectAltName, SUBJECT_ALT_NAME } from '../../extensions/subject-alt-name.ts';
import { encodeSubjectKeyIdentifier, SUBJECT_KEY_IDENTIFIER } from '../../extensions/subject-key-identifier.ts';
import type { GeneralName } from '../../general-name.ts';
import { encodeName } from '../../name.ts';
import { keyIdentifier, parsePublicKey } from '../../public-key.ts';
import { encodeTbsCertificate } from '../../tbs-certificate.ts';

/** The time of all test paths, and the second on which test certificates begin and end. */
export const NOW: number = Date.UTC(2026, 5, 1);
export const DAY = 86_400_000;

/** A certificate with its private key. */
export interface Entity {
  readonly certificate: Certificate;
  readonly name: string;
  readonly key: KeyPair;
}

interface KeyPair {
  readonly privateKey: KeyObject;
  readonly spki: Uint8Array;
}

/** How a test certificate differs from a plain valid one. */
export interface Wish {
  /** Signs, and names the issuer. Absent: self-signed. */
  readonly issuer?: Entity;
  /** For a certificate whose key exists already. */
  readonly key?: KeyPair;
  /** Whether it is an authority, which also decides its key usage. */
  readonly ca?: boolean;
  readonly pathLength?: number;
  readonly keyUsage?: readonly KeyUsage[];
  readonly names?: readonly GeneralName[];
  readonly constraints?: NameConstraints;
  /** Replace or add, by OID; undefined leaves one out. */
  readonly extensions?: Readonly<Record<string, Extension | undefined>>;
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly serial?: Uint8Array;
}

let serials = 0;

export function newKey(): KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return { privateKey, spki: new Uint8Array(publicKey.export({ type: 'spki', format: 'der' })) };
}

/** Issues a certificate that is valid unless a wish says otherwise. `name` is its common name; empty: no subject. */
export function issue(name: string, wish: Wish = {}): Entity {
  const key = wish.key ?? newKey();
  const issuer = wish.issuer ?? { name, key };
  const identifier = keyIdentifier(parsePublicKey(key.spki));
  const issuerIdentifier = keyIdentifier(parsePublicKey(issuer.key.spki));
  const { ca = false, pathLength, names, constraints } = wish;
  const basic = encodeBasicConstraints({ ca, ...(pathLength !== undefined && { pathLength }) });
  const usage = wish.keyUsage ?? (ca ? ['keyCertSign', 'cRLSign'] : ['digitalSignature']);
  const extensions: Record<string, Extension | undefined> = {
    [SUBJECT_KEY_IDENTIFIER]: extension(SUBJECT_KEY_IDENTIFIER, encodeSubjectKeyIdentifier(identifier)),
    [AUTHORITY_KEY_IDENTIFIER]: extension(AUTHORITY_KEY_IDENTIFIER, encodeAuthorityKeyIdentifier(issuerIdentifier)),
    [BASIC_CONSTRAINTS]: extension(BASIC_CONSTRAINTS, basic, true),
    [KEY_USAGE]: extension(KEY_USAGE, encodeKeyUsage(usage), true),
    ...(names && { [SUBJECT_ALT_NAME]: extension(SUBJECT_ALT_NAME, encodeSubjectAltName(names), name === '') }),
    ...(constraints && {
      [NAME_CONSTRAINTS]: extension(NAME_CONSTRAINTS, encodeNameConstraints(constraints), true),
    }),
    ...wish.extensions,
  };
  const tbs = encodeTbsCertificate({
    serial: wish.serial ?? Uint8Array.of(1, ++serials >> 8, serials & 0xff),
    algorithm: 'ed25519',
    issuer: distinguished(issuer.name),
    notBefore: wish.notBefore ?? NOW - DAY,
    notAfter: wish.notAfter ?? NOW + DAY,
    subject: distinguished(name),
    spki: key.spki,
    extensions: Object.values(extensions).filter((each) => each !== undefined),
  });
  const der = assembleSigned(tbs, 'ed25519', sign(null, tbs, issuer.key.privateKey));
  return { name, key, certificate: parseCertificate(der) };
}

export interface CrlWish {
  readonly issuer: Entity;
  readonly revoked?: readonly RevokedCertificate[];
  readonly thisUpdate?: number;
  readonly nextUpdate?: number;
  readonly extensions?: readonly Extension[];
}

export function issueCrl({ issuer, revoked = [], thisUpdate, nextUpdate, extensions }: CrlWish): Crl {
  const tbs = encodeTbsCertList({
    algorithm: 'ed25519',
    issuer: distinguished(issuer.name),
    thisUpdate: thisUpdate ?? NOW - DAY,
    nextUpdate: nextUpdate ?? NOW + DAY,
    revoked,
    extensions: extensions ?? [crlNumber()],
  });
  return parseCrl(assembleSigned(tbs, 'ed25519', sign(null, tbs, issuer.key.privateKey)));
}

export function crlNumber(critical = false): Extension {
  return extension(CRL_NUMBER, encodeCrlNumber(7), critical);
}

export function extension(oid: string, value: Uint8Array, critical = false): Extension {
  return { oid, critical, value };
}

function distinguished(name: string): Uint8Array {
  return encodeName(name === '' ? [] : [['CN', name]]);
}
