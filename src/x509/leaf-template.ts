import { type Backward, backward, prepend, prependHeader, written } from '../der/backward.ts';
import { contextConstructed, INTEGER, OCTET_STRING, SEQUENCE } from '../der/tag.ts';
import { encodeTime } from '../der/time.ts';
import { boolean, encode, integer, oid, sequence } from '../der/writer.ts';
import { encodeSignatureAlgorithm, type SignatureAlgorithm } from './algorithm.ts';
import { type Extension, encodeExtension } from './extension.ts';
import { AGENT_CONTEXT, type AgentContext, encodeAgentContext } from './extensions/agent-context.ts';
import { encodeSubjectAltName, SUBJECT_ALT_NAME } from './extensions/subject-alt-name.ts';
import { encodeSubjectKeyIdentifier, SUBJECT_KEY_IDENTIFIER } from './extensions/subject-key-identifier.ts';
import type { GeneralName } from './general-name.ts';

/**
 * What the leaves of one issuer that name one shard have in common, encoded once; a leaf's TBSCertificate is then little
 * more than copying. Make one for each (issuer, shard of its revocation lists) and keep it as long as both stand.
 */
export interface LeafTemplate {
  /** The issuer's; `assembleCertificate` needs it again. */
  readonly algorithm: SignatureAlgorithm;
  /** signature and issuer, one after the other. */
  readonly issuer: Uint8Array;
  /** The extensions that all these leaves share, one after the other. */
  readonly shared: Uint8Array;
}

export interface LeafTemplateFields {
  readonly algorithm: SignatureAlgorithm;
  /** DER Name: the issuer's subject, octet by octet. */
  readonly issuer: Uint8Array;
  /** All extensions but those that differ from leaf to leaf: subject key identifier, SAN, agent context. */
  readonly extensions: readonly Extension[];
}

/** What differs from leaf to leaf. The subject is always the empty name. */
export interface LeafFields {
  /** Content octets of the INTEGER: 1 … 20 of them, minimal and positive. */
  readonly serial: Uint8Array;
  /** Milliseconds since the Unix epoch, whole seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  /** Of that key; see `keyIdentifier`. */
  readonly keyIdentifier: Uint8Array;
  /** For the SAN, at least one. */
  readonly names: readonly GeneralName[];
  readonly context?: AgentContext;
}

const VERSION_3 = encode(contextConstructed(0), integer(2));
const EMPTY_NAME = sequence();
const SKI = oid(SUBJECT_KEY_IDENTIFIER);
const SAN_CRITICAL = Uint8Array.of(...oid(SUBJECT_ALT_NAME), ...boolean(true));
const CONTEXT = oid(AGENT_CONTEXT);
/** More than all headers, times, object identifiers and other small parts of a leaf together. */
const SMALL_PARTS = 256;

export function leafTemplate({ algorithm, issuer, extensions }: LeafTemplateFields): LeafTemplate {
  return {
    algorithm,
    issuer: Uint8Array.of(...encodeSignatureAlgorithm(algorithm), ...issuer),
    shared: Uint8Array.from(extensions.flatMap((extension) => [...encodeExtension(extension)])),
  };
}

/** The leaf's TBSCertificate. The SAN is critical, because the subject is empty (RFC 5280 §4.1.2.6). */
export function encodeLeafTbs(template: LeafTemplate, leaf: LeafFields): Uint8Array {
  const { issuer, shared } = template;
  const names = encodeSubjectAltName(leaf.names);
  const context = leaf.context === undefined ? undefined : encodeAgentContext(leaf.context);
  const variable = names.length + leaf.spki.length + leaf.keyIdentifier.length + (context?.length ?? 0);
  const out = backward(issuer.length + shared.length + variable + SMALL_PARTS);
  const end = out.at;
  if (context !== undefined) prependExtension(out, CONTEXT, context);
  prependExtension(out, SAN_CRITICAL, names);
  prependExtension(out, SKI, encodeSubjectKeyIdentifier(leaf.keyIdentifier));
  prepend(out, shared);
  prependHeader(out, SEQUENCE, end);
  prependHeader(out, contextConstructed(3), end);
  prepend(out, leaf.spki);
  prepend(out, EMPTY_NAME);
  const validityEnd = out.at;
  prepend(out, timeOf(leaf.notAfter));
  prepend(out, timeOf(leaf.notBefore));
  prependHeader(out, SEQUENCE, validityEnd);
  prepend(out, issuer);
  const serialEnd = out.at;
  prepend(out, leaf.serial);
  prependHeader(out, INTEGER, serialEnd);
  prepend(out, VERSION_3);
  prependHeader(out, SEQUENCE, end);
  return written(out);
}

/** Leaves of one second and one lifetime have the same times. */
function timeOf(ms: number): Uint8Array {
  let time = times.get(ms);
  if (time === undefined) {
    if (times.size >= MAX_TIMES) times.clear();
    time = encodeTime(ms);
    times.set(ms, time);
  }
  return time;
}

const times = new Map<number, Uint8Array>();
const MAX_TIMES = 64;

/** `head` is the object identifier, with the BOOLEAN after it where the extension is critical. */
function prependExtension(out: Backward, head: Uint8Array, value: Uint8Array): void {
  const end = out.at;
  prepend(out, value);
  prependHeader(out, OCTET_STRING, end);
  prepend(out, head);
  prependHeader(out, SEQUENCE, end);
}
