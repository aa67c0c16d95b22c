import { WritError } from '../base/error.ts';

declare const checked: unique symbol;

/** The name of an agent, service, operator, team, workflow or profile: text that `parseName` has accepted. */
export type Name = string & { readonly [checked]: 'name' };

/**
 * True for 1 to 63 lower-case letters, digits and dashes with no dash at an end: what fits a SPIFFE path segment and a
 * DNS label alike. This shape is on the wire and never widens to what either of them refuses.
 */
export function isName(text: string): text is Name {
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text);
}

/** Gives `text` back as a name. Throws `bad_request` naming `field`, e.g. `/name`. */
export function parseName(text: string, field: string): Name {
  if (isName(text)) return text;
  throw new WritError('bad_request', 'The name is not 1 to 63 lower-case letters, digits and dashes.', {
    field,
    remedy: 'Give a name like planner or invoice-reader-2, with a letter or digit at either end.',
  });
}
