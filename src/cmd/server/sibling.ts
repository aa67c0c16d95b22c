/**
 * The module beside `base` by this name, without ending: `.ts` in a checkout, `.js` in the built package, whichever the
 * asking module itself is. For threads, whose files no import names.
 */
export function sibling(base: string, name: string): URL {
  return new URL(`./${name}${base.endsWith('.ts') ? '.ts' : '.js'}`, base);
}
