/**
 * DNS names as certificates carry them, and the comparison of a name that a client asked for with the names that a
 * certificate presents (RFC 9525). The common name is never looked at.
 */

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * True for a host name in the "preferred name syntax" (RFC 5280 §4.2.1.6: RFC 1034 §3.5 with RFC 1123 §2.1): labels of
 * letters, digits and inner hyphens, no trailing period, at most 253 characters. A name whose last label is a number,
 * decimal or hexadecimal, is an IPv4 address to some reader or other (RFC 1123 §2.1, URL Standard §3.5), never a host.
 */
export function isHostName(text: string): boolean {
  if (text === lastGood) return true;
  if (text.length > 253) return false;
  const labels = text.toLowerCase().split('.');
  if (!labels.every((label) => LABEL.test(label)) || /^(\d+|0x[0-9a-f]*)$/.test(labels.at(-1)!)) return false;
  lastGood = text;
  return true;
}

/** Identities of one trust domain name the same host, one after the other. */
let lastGood = '';

/** True for one of these names and whatever is below one; all in lower case. */
export function isWithinSubtrees(name: string, subtrees: readonly string[]): boolean {
  return subtrees.some((subtree) => name === subtree || name.endsWith(`.${subtree}`));
}

/** True for what a dNSName may hold: a host name, or one whose whole leftmost label is `*` (RFC 9525 §6.3). */
export function isPresentedName(text: string): boolean {
  return isHostName(withoutWildcard(text));
}

/** The part that is fixed: `*.example.com` → `example.com`; other names as they are. */
export function withoutWildcard(presented: string): string {
  return presented.startsWith('*.') ? presented.slice(2) : presented;
}

/**
 * Does the presented name stand for `wanted`? Without regard to case; a wildcard stands for exactly one label and
 * only where `wildcards` allows it (RFC 9525 §6.3). Both must have passed their syntax check.
 */
export function matchesHostName(presented: string, wanted: string, wildcards: boolean): boolean {
  const name = wanted.toLowerCase();
  const fixed = withoutWildcard(presented).toLowerCase();
  if (fixed.length === presented.length) return fixed === name;
  const dot = name.indexOf('.');
  return wildcards && dot > 0 && name.slice(dot + 1) === fixed;
}
