import { WritError } from '../base/error.ts';

/** Deeper than anything that Writ takes. */
const DEEPEST = 16;

/**
 * Parses JSON (RFC 8259) as strictly as one can: UTF-8 without BOM, no member name twice in one object (of two readers
 * one would see the first and one the last), at most 16 levels, an object at the top. Throws `bad_request`.
 */
export function parseJsonObject(bytes: Uint8Array): Record<string, unknown> {
  const text = decodeUtf8(bytes);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw bad('The body is not JSON.', 'Send one JSON object in UTF-8.');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw bad('The body is not a JSON object.', 'Send one JSON object.');
  }
  // Of a name that stands twice in an object one value is lost, so fewer members are there than names were written.
  if (countMembers(value, 1) !== countNames(text)) {
    throw bad('A field stands twice in one object.', 'Send each field once.');
  }
  return value as Record<string, unknown>;
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw bad('The body is not UTF-8.', 'Send one JSON object in UTF-8.');
  }
}

function countMembers(value: object, depth: number): number {
  if (depth > DEEPEST) throw bad('The body is nested too deeply.', `Nest at most ${DEEPEST} levels.`);
  let count = 0;
  if (Array.isArray(value)) {
    for (const item of value) if (typeof item === 'object' && item !== null) count += countMembers(item, depth + 1);
    return count;
  }
  for (const member of Object.values(value)) {
    count += 1;
    if (typeof member === 'object' && member !== null) count += countMembers(member, depth + 1);
  }
  return count;
}

/** Strings that a colon follows, in text that is known to be JSON. */
function countNames(text: string): number {
  let count = 0;
  for (let at = text.indexOf('"'); at !== -1; at = text.indexOf('"', at)) {
    at = text.indexOf('"', at + 1);
    while (isEscaped(text, at)) at = text.indexOf('"', at + 1);
    at += 1;
    let code = text.charCodeAt(at);
    // Space, tab, line feed, carriage return: all that JSON allows between tokens.
    while (code === 0x20 || code === 0x09 || code === 0x0a || code === 0x0d) code = text.charCodeAt(++at);
    if (code === 0x3a) count += 1;
  }
  return count;
}

function isEscaped(text: string, quote: number): boolean {
  let slashes = 0;
  while (text.charCodeAt(quote - 1 - slashes) === 0x5c) slashes += 1;
  return slashes % 2 === 1;
}

function bad(fault: string, remedy: string): WritError {
  return new WritError('bad_request', fault, { field: '', remedy });
}
