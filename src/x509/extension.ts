import { readOid } from '../der/oid.ts';
import { type Cursor, enterSequence, fail, finish, peekTag, readBoolean, readOctetString } from '../der/reader.ts';
import { BOOLEAN } from '../der/tag.ts';
import { boolean, octetString, oid, sequence } from '../der/writer.ts';

/** One extension of a certificate, CSR, CRL or CRL entry (RFC 5280 §4.2). */
export interface Extension {
  /** Dotted text. */
  readonly oid: string;
  readonly critical: boolean;
  /** What is in the OCTET STRING: the DER that the files of `extensions/` decode. */
  readonly value: Uint8Array;
}

const MAX_EXTENSIONS = 64;

/** Reads `Extensions`: at least one, none twice (RFC 5280 §4.2). */
export function readExtensions(cursor: Cursor, label: string): Extension[] {
  const list = enterSequence(cursor, label);
  const extensions: Extension[] = [];
  while (list.at < list.end) {
    const start = list.at;
    const fields = enterSequence(list, 'extension');
    const dotted = readOid(fields, 'extnID');
    let critical = false;
    if (peekTag(fields) === BOOLEAN) {
      critical = readBoolean(fields, 'critical');
      if (!critical) fail(fields, 'critical', 'FALSE is the default and is not encoded');
    }
    const value = readOctetString(fields, 'extnValue');
    finish(fields);
    if (extensions.length === MAX_EXTENSIONS) fail(list, '', `more than ${MAX_EXTENSIONS} extensions`, start);
    if (findExtension(extensions, dotted) !== undefined) {
      const remedy = 'Include each extension once (RFC 5280 §4.2).';
      fail(list, '', `extension ${dotted} occurs twice`, start, { code: 'bad_certificate', remedy });
    }
    extensions.push({ oid: dotted, critical, value });
  }
  if (extensions.length === 0) fail(list, '', 'empty');
  return extensions;
}

/** The extension with this OID, if it is there. */
export function findExtension(extensions: readonly Extension[], dotted: string): Extension | undefined {
  for (const extension of extensions) {
    if (extension.oid === dotted) return extension;
  }
  return undefined;
}

export function encodeExtension({ oid: dotted, critical, value }: Extension): Uint8Array {
  return critical
    ? sequence(oid(dotted), boolean(true), octetString(value))
    : sequence(oid(dotted), octetString(value));
}

export function encodeExtensions(extensions: readonly Extension[]): Uint8Array {
  return sequence(...extensions.map(encodeExtension));
}
