import { WritError } from '../../base/error.ts';
import { type Cursor, enter, fail, finish, openSequence, peekTag, readOctetString } from '../../der/reader.ts';
import { contextConstructed, contextPrimitive, UTF8_STRING } from '../../der/tag.ts';
import { readText, readTextOf } from '../../der/text.ts';
import { encode, octetString, sequence, utf8String } from '../../der/writer.ts';

/**
 * Writ's private extension. This OID, the ASN.1 below and its limits are wire values: they never change, and no field
 * is ever added to them. What comes later gets an OID of its own.
 *
 * ```asn1
 * AgentContext ::= SEQUENCE {              -- at least one field; the value is at most 4096 octets long
 *   workflow     [0] IMPLICIT UTF8String (SIZE (1..128))                OPTIONAL,
 *   task         [1] IMPLICIT UTF8String (SIZE (1..128))                OPTIONAL,
 *   scopes       [2] IMPLICIT SEQUENCE (SIZE (1..32)) OF
 *                    UTF8String (SIZE (1..128))                         OPTIONAL,
 *   grantDigest  [3] IMPLICIT OCTET STRING (SIZE (32))                  OPTIONAL }
 * ```
 *
 * Sizes of text are in octets of UTF-8; control characters do not occur; no scope occurs twice. Never critical.
 */
export const AGENT_CONTEXT = '1.2.840.113556.1.8000.2554.64762.41221.52305.18423.38502.15414753.184288';

const MAX_BYTES = 4096;
const MAX_TEXT_BYTES = 128;
const MAX_SCOPES = 32;
const DIGEST_BYTES = 32;

/**
 * What an agent's certificate was issued for: the ceiling at the time of issue, never a permission by itself.
 * Whoever enforces decides afresh, and may only narrow.
 */
export interface AgentContext {
  readonly workflow?: string;
  readonly task?: string;
  /** Names of scopes, 1 … 32, none twice. */
  readonly scopes?: readonly string[];
  /** SHA-256 of the signed grant, 32 octets. */
  readonly grantDigest?: Uint8Array;
}

export function decodeAgentContext(value: Uint8Array): AgentContext {
  const fields = openSequence(value, 'agentContext', MAX_BYTES);
  if (peekTag(fields) < 0) fail(fields, '', 'empty');
  const workflow = readField(fields, contextPrimitive(0), 'workflow');
  const task = readField(fields, contextPrimitive(1), 'task');
  const scopes = readScopes(fields);
  let grantDigest: Uint8Array | undefined;
  if (peekTag(fields) === contextPrimitive(3)) {
    grantDigest = readOctetString(fields, 'grantDigest', contextPrimitive(3));
    if (grantDigest.length !== DIGEST_BYTES) fail(fields, 'grantDigest', `not ${DIGEST_BYTES} octets long`);
  }
  finish(fields);
  return {
    ...(workflow !== undefined && { workflow }),
    ...(task !== undefined && { task }),
    ...(scopes && { scopes }),
    ...(grantDigest && { grantDigest }),
  };
}

function readField(fields: Cursor, tag: number, label: string): string | undefined {
  if (peekTag(fields) !== tag) return undefined;
  const start = fields.at;
  const text = readTextOf(fields, tag, UTF8_STRING, label);
  const fault = textFault(text);
  if (fault) fail(fields, label, fault, start);
  return text;
}

function readScopes(fields: Cursor): string[] | undefined {
  if (peekTag(fields) !== contextConstructed(2)) return undefined;
  const list = enter(fields, contextConstructed(2), 'scopes');
  const scopes: string[] = [];
  while (list.at < list.end) {
    if (peekTag(list) !== UTF8_STRING) fail(list, 'scope', 'not a UTF8String');
    const start = list.at;
    const scope = readText(list, 'scope');
    const fault = textFault(scope) ?? (scopes.includes(scope) ? 'occurs twice' : undefined);
    if (fault) fail(list, 'scope', fault, start);
    if (scopes.push(scope) > MAX_SCOPES) fail(list, '', `more than ${MAX_SCOPES} scopes`, start);
  }
  if (scopes.length === 0) fail(list, '', 'empty');
  return scopes;
}

/** What is wrong with a name, if anything. */
function textFault(text: string): string | undefined {
  if (text === '') return 'empty';
  if (Buffer.byteLength(text) > MAX_TEXT_BYTES) return `longer than ${MAX_TEXT_BYTES} octets`;
  return /\p{Cc}|\p{Cs}/u.test(text) ? 'holds a control character' : undefined;
}

/** Encodes a context that has at least one field and keeps the limits; otherwise `bad_request`, naming the field. */
export function encodeAgentContext({ workflow, task, scopes, grantDigest }: AgentContext): Uint8Array {
  for (const [field, text] of [
    ['workflow', workflow],
    ['task', task],
  ] as const) {
    const fault = text === undefined ? undefined : textFault(text);
    if (fault) throw refused(field, fault);
  }
  for (const scope of scopes ?? []) {
    const fault = textFault(scope);
    if (fault) throw refused('scopes', `a scope is ${fault}`);
  }
  if (scopes && (scopes.length === 0 || scopes.length > MAX_SCOPES)) throw refused('scopes', 'not 1 … 32 scopes');
  if (scopes && new Set(scopes).size !== scopes.length) throw refused('scopes', 'a scope occurs twice');
  if (grantDigest && grantDigest.length !== DIGEST_BYTES) throw refused('grantDigest', 'not 32 octets long');
  const fields = [
    ...(workflow === undefined ? [] : [utf8String(workflow, contextPrimitive(0))]),
    ...(task === undefined ? [] : [utf8String(task, contextPrimitive(1))]),
    ...(scopes === undefined ? [] : [encode(contextConstructed(2), ...scopes.map((scope) => utf8String(scope)))]),
    ...(grantDigest === undefined ? [] : [octetString(grantDigest, contextPrimitive(3))]),
  ];
  if (fields.length === 0) throw refused('agentContext', 'without any field');
  const value = sequence(...fields);
  if (value.length > MAX_BYTES) throw refused('scopes', `together longer than ${MAX_BYTES} octets`);
  return value;
}

function refused(field: string, fault: string): WritError {
  return new WritError('bad_request', `agent context: ${field}: ${fault}`, {
    field,
    remedy: 'Names have 1 … 128 octets of UTF-8 without control characters; there are at most 32 different scopes.',
  });
}
