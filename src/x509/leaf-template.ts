import { contextConstructed, INTEGER, OCTET_STRING, SEQUENCE } from '../der/tag.ts';
import { encodeTime } from '../der/time.ts';
import { boolean, concatenate, encode, headerLength, integer, oid, sequence, writeHeader } from '../der/writer.ts';
import { encodeSignatureAlgorithm, type SignatureAlgorithm } from './algorithm.ts';
import { type Extension, encodeExtension } from './extension.ts';
import { AGENT_CONTEXT, type AgentContext, encodeAgentContext } from './extensions/agent-context.ts';
import { encodeSubjectAltName, SUBJECT_ALT_NAME } from './extensions/subject-alt-name.ts';
import { encodeSubjectKeyIdentifier, SUBJECT_KEY_IDENTIFIER } from './extensions/subject-key-identifier.ts';
import type { GeneralName } from './general-name.ts';

/**
 * What the leaves of one issuer under one profile have in common, encoded once; a leaf's TBSCertificate is then little
 * more than copying. Make one for each (issuer, profile) and keep it as long as both stand.
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
const TRUE = boolean(true);
const SKI = oid(SUBJECT_KEY_IDENTIFIER);
const SAN = oid(SUBJECT_ALT_NAME);
const CONTEXT = oid(AGENT_CONTEXT);

export function leafTemplate({ algorithm, issuer, extensions }: LeafTemplateFields): LeafTemplate {
  return {
    algorithm,
    issuer: concatenate([encodeSignatureAlgorithm(algorithm), issuer]),
    shared: concatenate(extensions.map(encodeExtension)),
  };
}

/** The leaf's TBSCertificate. The SAN is critical, because the subject is empty (RFC 5280 §4.1.2.6). */
export function encodeLeafTbs(template: LeafTemplate, leaf: LeafFields): Uint8Array {
  const validity = [encodeTime(leaf.notBefore), encodeTime(leaf.notAfter)];
  const keyIdentifier = frame(OCTET_STRING, [encodeSubjectKeyIdentifier(leaf.keyIdentifier)]);
  const names = frame(OCTET_STRING, [encodeSubjectAltName(leaf.names)]);
  const context = leaf.context === undefined ? [] : frame(OCTET_STRING, [encodeAgentContext(leaf.context)]);
  const extensions = [
    template.shared,
    ...frame(SEQUENCE, [SKI, ...keyIdentifier]),
    ...frame(SEQUENCE, [SAN, TRUE, ...names]),
    ...(context.length === 0 ? [] : frame(SEQUENCE, [CONTEXT, ...context])),
  ];
  return concatenate(
    frame(SEQUENCE, [
      VERSION_3,
      ...frame(INTEGER, [leaf.serial]),
      template.issuer,
      ...frame(SEQUENCE, validity),
      EMPTY_NAME,
      leaf.spki,
      ...frame(contextConstructed(3), frame(SEQUENCE, extensions)),
    ]),
  );
}

/** Puts tag and length before a content in parts. Nothing is copied until all parts are there. */
function frame(tag: number, parts: readonly Uint8Array[]): Uint8Array[] {
  let length = 0;
  for (const part of parts) length += part.length;
  const header = new Uint8Array(headerLength(length));
  writeHeader(header, 0, tag, length);
  return [header, ...parts];
}
