import { type DerNode, places, readTree, writeTree } from './der-tree.ts';
import type { Choices } from './random.ts';
import type { Target } from './target.ts';

/** Octets that sit at the edges of what formats distinguish. */
const EDGES = [0x00, 0x01, 0x02, 0x20, 0x30, 0x31, 0x7f, 0x80, 0x81, 0x82, 0x84, 0xa0, 0xa3, 0xfe, 0xff];
const TAGS = [
  0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0c, 0x13, 0x16, 0x17, 0x18, 0x1e, 0x30, 0x31, 0x80, 0x82, 0x86, 0x87, 0xa0,
  0xa3,
];
const VALUES: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1e21,
  0.1,
  2 ** 53,
  '',
  'a',
  '\u0000',
  '\ud800',
  [],
  {},
  '__proto__',
];

/** A new input made from one of `pool` by one change, or some, seldom many; cut to the target's longest. */
export function mutate(target: Target, pool: readonly Uint8Array[], random: Choices): Uint8Array {
  let input = random.pick(pool);
  const changes = 1 + random.below(random.pick([1, 1, 1, 3, 3, 12]));
  for (let i = 0; i < changes; i++) input = change(target, input, pool, random).subarray(0, target.longest);
  return input;
}

/** How often to repeat a part of the input, so that even a repeat of all of it stays near the target's longest. */
function times(target: Target, input: Uint8Array, random: Choices): number {
  return 1 + random.below(Math.max(1, Math.min(100, Math.floor(target.longest / input.length))));
}

function change(target: Target, input: Uint8Array, pool: readonly Uint8Array[], random: Choices): Uint8Array {
  const structured = random.below(3) > 0;
  if (structured && target.form === 'der')
    return changeTree(target, input, pool, random) ?? changeBytes(input, pool, random);
  if (structured && target.form === 'json')
    return changeJson(target, input, random) ?? changeBytes(input, pool, random);
  if (structured && target.words !== undefined) {
    return splice(input, random, Buffer.from(random.pick(target.words)));
  }
  return changeBytes(input, pool, random);
}

function changeBytes(input: Uint8Array, pool: readonly Uint8Array[], random: Choices): Uint8Array {
  if (input.length === 0) return random.pick(pool);
  const at = random.below(input.length);
  const copy = Uint8Array.from(input);
  switch (random.below(8)) {
    case 0:
      copy[at]! ^= 1 << random.below(8);
      return copy;
    case 1:
      copy[at] = random.pick(EDGES);
      return copy;
    case 2:
      copy[at] = random.below(256);
      return copy;
    case 3:
      return input.subarray(0, at);
    case 4:
      return splice(input, random, Uint8Array.of(random.pick(EDGES)));
    case 5:
      return splice(input, random, input.subarray(at, at + 1 + random.below(64)));
    case 6:
      return splice(input, random, slice(random.pick(pool), random));
    default:
      return Buffer.concat([input.subarray(0, at), input.subarray(at + 1 + random.below(8))]);
  }
}

/** Puts `piece` in somewhere, over what stands there or between. */
function splice(input: Uint8Array, random: Choices, piece: Uint8Array): Uint8Array {
  const at = random.below(input.length + 1);
  const resume = random.below(2) === 0 ? at : Math.min(input.length, at + piece.length);
  return Buffer.concat([input.subarray(0, at), piece, input.subarray(resume)]);
}

function slice(input: Uint8Array, random: Choices): Uint8Array {
  const start = random.below(input.length + 1);
  return input.subarray(start, start + 1 + random.below(64));
}

/** One change to the tree of values, lengths kept right. Undefined when the input is no such tree. */
function changeTree(
  target: Target,
  input: Uint8Array,
  pool: readonly Uint8Array[],
  random: Choices,
): Uint8Array | undefined {
  const tree = readTree(input);
  if (tree === undefined || tree.length === 0) return undefined;
  const { list, at } = random.pick(places(tree));
  const node = list[at]!;
  switch (random.below(9)) {
    case 0:
      list.splice(at, 1);
      break;
    case 1:
      list.splice(at, 0, node);
      break;
    case 2:
      list.splice(at, 0, ...new Array<DerNode>(times(target, input, random)).fill(node));
      break;
    case 3:
      node.tag = random.pick(TAGS);
      break;
    case 4:
      node.content = Uint8Array.from({ length: random.below(5) }, () => random.pick(EDGES));
      break;
    case 5:
      list[at] = { tag: random.pick(TAGS), prefix: new Uint8Array(0), content: [node] };
      break;
    case 6:
      list.push(...list.splice(at, 1));
      break;
    case 7: {
      const other = readTree(random.pick(pool)) ?? [];
      const place = other.length === 0 ? undefined : random.pick(places(other));
      if (place !== undefined) list[at] = place.list[place.at]!;
      break;
    }
    default:
      if (node.content instanceof Uint8Array) node.content = changeBytes(node.content, [input], random);
  }
  return writeTree(tree);
}

/** One change to a JSON value. Undefined when the input is no JSON. */
function changeJson(target: Target, input: Uint8Array, random: Choices): Uint8Array | undefined {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(input).toString('utf8'));
  } catch {
    return undefined;
  }
  const holders = containers(value);
  if (holders.length === 0) return undefined;
  const holder = random.pick(holders);
  const keys = Object.keys(holder);
  const key = keys.length === 0 ? 'a' : random.pick(keys);
  switch (random.below(6)) {
    case 0:
      delete holder[key];
      break;
    case 1:
      holder[key] = random.pick(VALUES);
      break;
    case 2:
      holder[key] = [holder[key], holder[key]];
      break;
    case 3:
      holder[String(random.pick(VALUES))] = holder[key];
      break;
    case 4:
      if (typeof holder[key] === 'string') holder[key] = holder[key].repeat(times(target, input, random));
      break;
    default:
      if (typeof holder[key] === 'string') {
        holder[key] = Buffer.from(changeBytes(Buffer.from(holder[key]), [input], random)).toString('utf8');
      } else if (typeof holder[key] === 'number') holder[key] += random.pick([-1, 1, 0.5, 2 ** 53]);
  }
  return Buffer.from(JSON.stringify(value));
}

function containers(value: unknown): Record<string, unknown>[] {
  if (typeof value !== 'object' || value === null) return [];
  return [value as Record<string, unknown>, ...Object.values(value).flatMap(containers)];
}
