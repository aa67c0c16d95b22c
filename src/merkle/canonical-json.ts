import { WritError } from '../base/error.ts';

/** What canonical JSON here can hold: the JSON of RFC 8785 without null and without numbers that are no safe integers. */
export type CanonicalValue =
  | string
  | number
  | boolean
  | readonly CanonicalValue[]
  | { readonly [key: string]: CanonicalValue };

const MAX_DEPTH = 32;

/**
 * The one text of a value (RFC 8785): no white space, members sorted by UTF-16 code units, strings and integers as
 * ECMAScript writes them. Refuses with `bad_request` what would read differently elsewhere: fractions, integers beyond
 * ±(2^53 − 1), null, undefined, lone surrogates, nesting beyond 32.
 */
export function canonicalJson(value: CanonicalValue): string {
  return encode(value, 0);
}

function encode(value: CanonicalValue, depth: number): string {
  switch (typeof value) {
    case 'string':
      return text(value);
    case 'number':
      if (!Number.isSafeInteger(value)) throw refused('a number that is not a safe integer');
      return String(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      if (value !== null) break;
      throw refused('null');
    default:
      throw refused(`a value of type ${typeof value}`);
  }
  if (depth === MAX_DEPTH) throw refused(`nesting deeper than ${MAX_DEPTH}`);
  if (Array.isArray(value)) {
    let list = '[';
    for (let i = 0; i < value.length; i++) list += (i === 0 ? '' : ',') + encode(value[i], depth + 1);
    return `${list}]`;
  }
  const members = value as Readonly<Record<string, CanonicalValue>>;
  let object = '{';
  // Array.prototype.sort compares UTF-16 code units, which is the order of RFC 8785 §3.2.3.
  for (const key of Object.keys(members).sort()) {
    object += `${object.length === 1 ? '' : ','}${text(key)}:${encode(members[key]!, depth + 1)}`;
  }
  return `${object}}`;
}

/** Short ASCII without quote, backslash and controls: most strings, and quicker to see than to have escaped. */
const PLAIN = /^[ !#-[\]-~]{0,100}$/;

function text(value: string): string {
  if (PLAIN.test(value)) return `"${value}"`;
  if (!value.isWellFormed()) throw refused('a string with a lone surrogate');
  return JSON.stringify(value);
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Reads canonical JSON and nothing else: the bytes must be exactly what `canonicalJson` gives for the value read, so
 * duplicate members, white space, other escapes and number forms are all `bad_request`.
 */
export function parseCanonicalJson(bytes: Uint8Array): CanonicalValue {
  let source: string;
  let value: CanonicalValue;
  try {
    source = UTF8.decode(bytes);
    value = JSON.parse(source) as CanonicalValue;
  } catch {
    // The parser's own message quotes the input, so it is not kept as the cause.
    throw new WritError('bad_request', 'the bytes are not JSON in UTF-8');
  }
  if (canonicalJson(value) !== source) throw refused('another spelling than RFC 8785 gives it');
  return value;
}

function refused(what: string): WritError {
  return new WritError('bad_request', `canonical JSON cannot hold ${what}`, {
    remedy: 'Use strings, safe integers, booleans, arrays and objects, as RFC 8785 writes them.',
  });
}
