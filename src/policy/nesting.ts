import type { Expression, PolicyJson } from './cedar.ts';

/*
 * Cedar's parser and evaluator recurse, and WebAssembly gives them a fixed stack: the parser falls off it between 100 and
 * 200 brackets within one another, and between 200 and 400 operators in a row.
 */

/** Brackets within brackets, at most. */
export const DEEPEST = 50;

/** Operators within operators, as in a chain of them, at most. */
export const LONGEST_CHAIN = 100;

/** Index of the bracket that stands deeper than `DEEPEST`; undefined where none does. Strings and comments do not count. */
export function tooDeepAt(text: string): number | undefined {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const sign = text[at]!;
    if (sign === '"') at = endOfString(text, at);
    else if (sign === '/' && text[at + 1] === '/') at = endOfLine(text, at);
    else if ('([{'.includes(sign) && ++depth > DEEPEST) return at;
    else if (')]}'.includes(sign)) depth--;
  }
  return undefined;
}

/** Whether a policy, once parsed, has more than `LONGEST_CHAIN` operators within one another. */
export function isTooLong({ conditions }: Pick<PolicyJson, 'conditions'>): boolean {
  let level: unknown[] = conditions.map(({ body }: { body: Expression }) => body);
  // Each operator is an object within an object.
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > 2 * LONGEST_CHAIN) return true;
    level = level.flatMap((value) => (typeof value === 'object' && value !== null ? Object.values(value) : []));
  }
  return false;
}

function endOfString(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at;
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end === -1 ? text.length : end;
}
