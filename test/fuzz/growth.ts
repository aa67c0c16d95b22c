import { type DerNode, lengthOctets, places, readTree, writeTree } from './der-tree.ts';
import { type Defect, isDefect, run } from './engine.ts';
import type { Choices } from './random.ts';
import type { Target } from './target.ts';

/** How much longer the larger input is. */
const FACTOR = 16;
/** How much longer it may take for the same number of octets: linear work takes as long, quadratic 16 times. */
const ALLOWED = 4;
/** Less than this for the longest input harms nobody, and is too short to tell growth from noise. */
const HARMLESS_MS = 10;

/** Makes a longer input by doing something `n` times. */
type Family = (n: number) => Uint8Array;

/**
 * Looks for work that grows faster than the input. Each trial takes a corpus file, repeats one part of it, and compares
 * the time of an input near the target's longest with that of one a sixteenth as long.
 */
export function findSuperlinear(
  target: Target,
  corpus: readonly Uint8Array[],
  { random, ms }: { random: Choices; ms: number },
): Defect[] {
  const end = performance.now() + ms;
  const defects: Defect[] = [];
  while (performance.now() < end && defects.length === 0) {
    const family = familyOf(target, random.pick(corpus), random);
    // Half and a quarter, too: what is over a parser's own limit is refused before any work.
    const large = timesThatFill(family, target.longest / random.pick([1, 1, 2, 4]));
    const small = Math.floor(large / FACTOR);
    if (small === 0) continue;
    const input = family(large);
    const { outcome, ms: alone } = run(target, input);
    if (isDefect(outcome)) defects.push(outcome);
    if (alone < HARMLESS_MS || !isSuperlinear(target, input, family(small))) continue;
    const detail = `an input ${FACTOR} times as long takes more than ${ALLOWED} times as long for each octet`;
    defects.push({ kind: 'superlinear', detail, input });
  }
  return defects;
}

/** The largest number of repeats that stays within `longest` octets; from some repeats on, sizes grow evenly. */
function timesThatFill(family: Family, longest: number): number {
  const some = family(64).length;
  const step = (family(128).length - some) / 64;
  return step < 0.5 ? 0 : Math.max(0, Math.floor(64 + (longest - some) / (step * 1.05)));
}

/**
 * Compares the time of one large input with that of as many octets in small ones. Both take about as long when work is
 * linear, so that a busy machine disturbs both alike; the shortest of several tries counts.
 */
function isSuperlinear(target: Target, large: Uint8Array, small: Uint8Array): boolean {
  let [ofLarge, ofSmall] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let tries = 0; tries < 6; tries++) {
    ofSmall = Math.min(ofSmall, timeOf(target, small, FACTOR));
    ofLarge = Math.min(ofLarge, timeOf(target, large, 1));
    if (ofLarge < ALLOWED * ofSmall) return false;
  }
  return true;
}

function timeOf(target: Target, input: Uint8Array, times: number): number {
  const start = performance.now();
  for (let i = 0; i < times; i++) run(target, input);
  return performance.now() - start;
}

function familyOf(target: Target, seed: Uint8Array, random: Choices): Family {
  if (target.form === 'der' && random.below(4) > 0) return repeatNode(seed, random);
  if (target.form === 'json' && random.below(4) > 0) return repeatMember(seed, random);
  return repeatSpan(target, seed, random);
}

function repeatNode(seed: Uint8Array, random: Choices): Family {
  const count = places(readTree(seed) ?? []).length;
  const chosen = random.below(count);
  const nested = random.below(8) === 0;
  return (n) => {
    const tree = readTree(seed) ?? [];
    const place = places(tree)[chosen];
    if (place === undefined) return seed;
    const { list, at } = place;
    if (!nested) list.splice(at, 0, ...new Array<DerNode>(n).fill(list[at]!));
    else if (n > 0) list[at] = { tag: 0x30, prefix: new Uint8Array(0), content: nest(n) };
    return writeTree(tree);
  };
}

/** `n` SEQUENCEs in one another, the innermost empty, as octets. */
function nest(n: number): Uint8Array {
  const headers: Uint8Array[] = [];
  let length = 0;
  for (let i = 0; i < n; i++) {
    const header = Buffer.of(0x30, ...lengthOctets(length));
    headers.push(header);
    length += header.length;
  }
  return Buffer.concat(headers.reverse());
}

function repeatMember(seed: Uint8Array, random: Choices): Family {
  const text = Buffer.from(seed).toString('utf8');
  const where = random.below(1 << 16);
  const way = random.below(3);
  return (n) => {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return seed;
    }
    if (way === 0) return Buffer.from(`${'{"a":'.repeat(n)}${text}${'}'.repeat(n)}`);
    const holders: unknown[][] = [];
    collect(value, holders);
    const holder = holders[where % Math.max(1, holders.length)];
    if (holder === undefined || way === 1) {
      const members = Array.from({ length: n }, (_, i) => `"k${String(i).padStart(6, '0')}":${i},`).join('');
      return Buffer.from(text.replace('{', `{${members}`));
    }
    holder.push(...new Array<unknown>(n).fill(holder[0] ?? 'a'));
    return Buffer.from(JSON.stringify(value));
  };
}

function collect(value: unknown, holders: unknown[][]): void {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) holders.push(value);
  for (const member of Object.values(value)) collect(member, holders);
}

function repeatSpan(target: Target, seed: Uint8Array, random: Choices): Family {
  const start = random.below(seed.length + 1);
  const word = target.words && random.below(2) === 0 ? Buffer.from(random.pick(target.words)) : undefined;
  const span = word ?? seed.subarray(start, start + 1 + random.below(8));
  const end = random.below(2) === 0 ? start : Math.min(seed.length, start + span.length);
  return (n) => {
    const filled = new Uint8Array(span.length * n);
    for (let i = 0; i < n; i++) filled.set(span, i * span.length);
    return Buffer.concat([seed.subarray(0, start), filled, seed.subarray(end)]);
  };
}
