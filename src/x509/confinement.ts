import { isWritError } from '../base/error.ts';
import type { Certificate } from './certificate.ts';
import { findExtension } from './extension.ts';
import { decodeNameConstraints, NAME_CONSTRAINTS } from './extensions/name-constraints.ts';
import type { GeneralName } from './general-name.ts';

/** Names of one label under which nobody has a public domain (RFC 6761, RFC 6762, and `internal` of ICANN). */
const PRIVATE_LABELS: ReadonlySet<string> = new Set(['localhost', 'internal', 'local', 'test']);

/** Shortest prefixes of networks that count as some addresses and not as all: 10.0.0.0/8, fd00::/8. */
const LEAST_PREFIX: ReadonlyMap<number, number> = new Map([
  [8, 8],
  [32, 7],
]);

/**
 * Why a root could vouch for names that are everybody's, as the end of a sentence; undefined for one that is confined. It
 * is confined when its name constraints (RFC 5280 §4.2.1.10) are critical, permit DNS names below some domains or exclude them
 * all, and of each family of addresses some networks or none.
 */
export function confinementFault({ extensions }: Certificate): string | undefined {
  const extension = findExtension(extensions, NAME_CONSTRAINTS);
  if (extension === undefined) return 'has no name constraints: it could vouch for every web site';
  if (!extension.critical) return 'has name constraints that are not critical, which many programs pass over';
  try {
    const { permitted, excluded } = decodeNameConstraints(extension.value);
    return dnsFault(permitted, excluded) ?? addressFault(permitted, excluded);
  } catch (error) {
    if (isWritError(error)) return 'has name constraints that cannot be read';
    throw error;
  }
}

function dnsFault(permitted: readonly GeneralName[], excluded: readonly GeneralName[]): string | undefined {
  if (excluded.some((name) => name.kind === 'dns' && name.value === '')) return undefined;
  const names = permitted.flatMap((name) => (name.kind === 'dns' ? [name.value] : []));
  if (names.length === 0) return 'leaves DNS names open: it could vouch for every web site';
  const open = names.find((name) => !isOnesOwn(name));
  return open === undefined ? undefined : 'permits DNS names that are everybody’s';
}

function isOnesOwn(name: string): boolean {
  const labels = name.replace(/^\./, '').toLowerCase().split('.');
  return labels.every((label) => label !== '') && (labels.length > 1 || PRIVATE_LABELS.has(labels[0]!));
}

function addressFault(permitted: readonly GeneralName[], excluded: readonly GeneralName[]): string | undefined {
  for (const [length, least] of LEAST_PREFIX) {
    const ofFamily = (names: readonly GeneralName[]): Uint8Array[] =>
      names.flatMap((name) => (name.kind === 'ip' && name.value.length === length ? [name.value] : []));
    if (ofFamily(excluded).some((value) => prefixOf(value) === 0)) continue;
    const networks = ofFamily(permitted);
    const family = length === 8 ? 'IPv4' : 'IPv6';
    if (networks.length === 0) return `leaves ${family} addresses open`;
    if (networks.some((value) => prefixOf(value) < least)) return `permits ${family} addresses that are everybody’s`;
  }
  return undefined;
}

/** Ones of the mask, which stand before its zeros. */
function prefixOf(value: Uint8Array): number {
  let ones = 0;
  for (const octet of value.subarray(value.length / 2))
    for (let bit = 128; bit > 0; bit >>= 1) ones += octet & bit ? 1 : 0;
  return ones;
}
