import { holdsAt } from '../der/bytes.ts';
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

/**
 * How the encodings that were read with it begin: each extension with its octets. What one issuer signs begins alike, and
 * comparing octets costs less than reading them. The extensions that come out of it are the same objects each time.
 */
export type CommonBeginning = { readonly raw: Uint8Array; readonly extension: Extension }[];

const MAX_EXTENSIONS = 64;

/** Reads `Extensions`: at least one, none twice (RFC 5280 §4.2). */
export function readExtensions(cursor: Cursor, label: string, common?: CommonBeginning): Extension[] {
  const list = enterSequence(cursor, label);
  const extensions: Extension[] = [];
  let alike = common?.length ?? 0;
  while (list.at < list.end) {
    const start = list.at;
    if (extensions.length < alike) {
      const { raw, extension } = common![extensions.length]!;
      if (start + raw.length <= list.end && holdsAt(list.bytes, start, raw)) {
        list.at += raw.length;
        extensions.push(extension);
        continue;
      }
      alike = extensions.length;
    }
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
    const extension = { oid: dotted, critical, value };
    if (common !== undefined && extensions.length === alike)
      keep(common, alike, list.bytes.slice(start, list.at), extension);
    extensions.push(extension);
  }
  if (extensions.length === 0) fail(list, '', 'empty');
  return extensions;
}

/** The first that differs takes the place of what stood there, and of what came after that. A copy, since callers reuse memory. */
function keep(common: CommonBeginning, at: number, raw: Uint8Array, extension: Extension): void {
  common.length = at;
  common.push({ raw, extension: { ...extension, value: raw.subarray(raw.length - extension.value.length) } });
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
