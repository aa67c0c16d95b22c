import { isWritError } from '../base/error.ts';
import { parseSpiffeId, type SpiffeId } from '../spiffe-id/spiffe-id.ts';
import type { Certificate } from './certificate.ts';
import { findExtension } from './extension.ts';
import { BASIC_CONSTRAINTS, decodeBasicConstraints } from './extensions/basic-constraints.ts';
import { decodeKeyUsage, KEY_USAGE } from './extensions/key-usage.ts';
import { decodeSubjectAltName, SUBJECT_ALT_NAME } from './extensions/subject-alt-name.ts';
import type { Purpose } from './path/certificate-rules.ts';
import { RFC5280 } from './path/policy.ts';
import { validatePath } from './path/validate.ts';

export type ValidatedSvid =
  | { readonly valid: true; readonly id: SpiffeId }
  | { readonly valid: false /** What is wrong with it, as the end of a sentence. */; readonly why: string };

export interface SvidRequest {
  readonly leaf: Certificate;
  /** What was sent with it, in no order. */
  readonly intermediates: readonly Certificate[];
  /** The authorities of the trust domain that the leaf names, and of no other (SPIFFE Federation §7.3). */
  readonly authorities: (trustDomain: SpiffeId['trustDomain']) => readonly Certificate[] | undefined;
  /** Milliseconds. */
  readonly now: number;
  readonly purpose?: Purpose;
}

/**
 * Validates a certificate as the X.509-SVID of whoever presents it (X.509-SVID §5): path validation of RFC 5280 under the
 * authorities of its own trust domain, and the rules about leaves. Throws for nothing that it holds.
 */
export function validateSvid({ leaf, intermediates, authorities, now, purpose }: SvidRequest): ValidatedSvid {
  const id = leafId(leaf);
  if (typeof id === 'string') return { valid: false, why: id };
  const anchors = authorities(id.trustDomain);
  if (anchors === undefined) return { valid: false, why: 'names a trust domain that is not known' };
  const path = validatePath({
    ...{ leaf, intermediates, anchors, at: now, policy: RFC5280, keyUsage: 'digitalSignature' },
    ...(purpose === undefined ? {} : { purpose }),
  });
  return path.valid ? { valid: true, id } : { valid: false, why: `was not accepted: ${path.detail}` };
}

/** The id of a leaf by the rules of §2, §3.1, §4.3 and §5.2; or which of them it breaks. */
export function leafId(leaf: Certificate): SpiffeId | string {
  try {
    const constraints = findExtension(leaf.extensions, BASIC_CONSTRAINTS);
    if (constraints !== undefined && decodeBasicConstraints(constraints.value).ca) return 'is that of an authority';
    const usage = findExtension(leaf.extensions, KEY_USAGE);
    const usages = usage === undefined ? [] : decodeKeyUsage(usage.value);
    if (usages.includes('keyCertSign') || usages.includes('cRLSign'))
      return 'has a key that signs certificates or lists';
    if (!usages.includes('digitalSignature')) return 'has a key that is not for digital signatures';
    const uris = uriNames(leaf);
    if (uris.length !== 1) return 'does not have exactly one URI name';
    const id = parseSpiffeId(uris[0]!);
    return id.segments.length > 0 ? id : 'names a trust domain and no workload';
  } catch (error) {
    if (isWritError(error))
      return error.code === 'bad_spiffe_id' ? 'has a URI name that is no SPIFFE ID' : 'is malformed';
    throw error;
  }
}

/** The URI names of a certificate. Throws `bad_certificate` or `bad_der` for an extension that is malformed. */
export function uriNames({ extensions }: Certificate): string[] {
  const names = findExtension(extensions, SUBJECT_ALT_NAME);
  if (names === undefined) return [];
  return decodeSubjectAltName(names.value).flatMap((name) => (name.kind === 'uri' ? [name.value] : []));
}
