import { openSequence, readAny } from '../../der/reader.ts';
import { sequence } from '../../der/writer.ts';
import type { Certificate } from '../certificate.ts';
import type { Extension } from '../extension.ts';
import { encodeExtendedKeyUsage, EXTENDED_KEY_USAGE } from '../extensions/extended-key-usage.ts';
import { encodeKeyUsage, KEY_USAGE, type KeyUsage } from '../extensions/key-usage.ts';
import { encodeSubjectAltName, SUBJECT_ALT_NAME } from '../extensions/subject-alt-name.ts';
import type { GeneralName } from '../general-name.ts';
import { type Finding, lintCertificate } from '../lint.ts';
import { type ExpectedProfile, lintIssuer } from '../lint/expected.ts';
import { encodeTbsCertificate, type TbsCertificateFields } from '../tbs-certificate.ts';
import { expectedOf, issuingFields, leafFields, rootFields, testChain } from './authority.ts';
import { newTestKey, testKey } from './keys.ts';

const ALGORITHM = 'ecdsa-p256-sha256';
const { root, issuing } = testChain(ALGORITHM);
const SUBJECT_KEY = newTestKey(ALGORITHM);

/** A certificate to be held against the lints. */
interface Candidate {
  readonly fields: TbsCertificateFields;
  readonly issuer: Certificate | undefined;
  readonly expected: ExpectedProfile;
  /** Changes the fields of the TBSCertificate once they are encoded, where `fields` cannot say what is meant. */
  readonly rewrite?: (parts: readonly Uint8Array[]) => readonly Uint8Array[];
}

export type Kind = 'leaf' | 'issuing' | 'root';

const GOOD: Readonly<Record<Kind, Candidate>> = {
  leaf: { fields: leafFields(SUBJECT_KEY, issuing), issuer: issuing, expected: expectedOf('leaf', ALGORITHM) },
  issuing: { fields: issuingFields(SUBJECT_KEY, root), issuer: root, expected: expectedOf('issuing', ALGORITHM) },
  root: { fields: rootFields(testKey(ALGORITHM)), issuer: undefined, expected: expectedOf('root', ALGORITHM) },
};

/** Holds a good certificate against the lints, after one change. */
export function findings(kind: Kind, change: Change): Finding[] {
  const { fields, issuer, expected, rewrite } = change(GOOD[kind]);
  const tbs = encodeTbsCertificate(fields);
  return lintCertificate(rewrite ? sequence(...rewrite(fieldsOf(tbs))) : tbs, issuer && lintIssuer(issuer), expected);
}

/** One way to spoil a good certificate, or to make another good one of it. */
export type Change = (candidate: Candidate) => Candidate;

export const all =
  (...changes: readonly Change[]): Change =>
  (candidate) =>
    changes.reduce((changed, change) => change(changed), candidate);

export const fields =
  (change: Partial<TbsCertificateFields>): Change =>
  (candidate) => ({ ...candidate, fields: { ...candidate.fields, ...change } });

export const expected =
  (change: Partial<ExpectedProfile>): Change =>
  (candidate) => ({ ...candidate, expected: { ...candidate.expected, ...change } });

export const rewrite =
  (change: (parts: readonly Uint8Array[]) => readonly Uint8Array[]): Change =>
  (candidate) => ({ ...candidate, rewrite: change });

const extensions =
  (change: (list: readonly Extension[]) => readonly Extension[]): Change =>
  (candidate) => fields({ extensions: change(candidate.fields.extensions) })(candidate);

/** Puts an extension in the place of the one with its OID, critical as that one was, or at the end. */
export const extension = (oid: string, value: Uint8Array, critical?: boolean): Change =>
  extensions((list) => {
    const old = list.find((one) => one.oid === oid);
    return [...list.filter((one) => one !== old), { oid, critical: critical ?? old?.critical ?? false, value }];
  });

export const without = (oid: string): Change => extensions((list) => list.filter((one) => one.oid !== oid));

export const critical = (oid: string, value: boolean): Change =>
  extensions((list) => list.map((one) => (one.oid === oid ? { ...one, critical: value } : one)));

export const twice = (oid: string): Change =>
  extensions((list) => list.flatMap((one) => (one.oid === oid ? [one, one] : [one])));

export const names = (...list: readonly GeneralName[]): Change =>
  extension(SUBJECT_ALT_NAME, encodeSubjectAltName(list));

export const usage = (...list: readonly KeyUsage[]): Change => extension(KEY_USAGE, encodeKeyUsage(list));

export const purposes = (...list: readonly string[]): Change =>
  extension(EXTENDED_KEY_USAGE, encodeExtendedKeyUsage(list));

/** The encodings of the fields of a SEQUENCE. */
function fieldsOf(der: Uint8Array): Uint8Array[] {
  const outer = openSequence(der, 'tbs');
  const parts: Uint8Array[] = [];
  while (outer.at < outer.end) parts.push(readAny(outer, 'field'));
  return parts;
}
