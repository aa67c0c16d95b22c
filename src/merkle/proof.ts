import { WritError } from '../base/error.ts';
import { equalBytes, nodeHash } from './hash.ts';

/**
 * Inclusion and consistency proofs of RFC 6962 §2.1.1 and §2.1.2, made from ranges of leaves and verified as RFC 9162
 * §2.1.3.2 and §2.1.4.2 say. Sizes and indices are safe integers.
 */

/** The leaves D[start:end]. Every hash in a proof is the MTH of one such range. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** A perfect subtree: the 2^height leaves from index × 2^height on. Its hash never changes once it is full. */
interface Node {
  readonly height: number;
  readonly index: number;
}

/** Largest power of two smaller than `size`, which is at least 2. */
function split(size: number): number {
  let k = 1;
  while (k * 2 < size) k *= 2;
  return k;
}

/** PATH(index, D[size]): the ranges whose hashes prove that leaf, its sibling first. */
export function inclusionRanges(index: number, size: number): Range[] {
  if (!(index >= 0 && index < size)) throw outside('leaf index');
  const path: Range[] = [];
  let [start, end] = [0, size];
  while (end - start > 1) {
    const middle = start + split(end - start);
    if (index < middle) {
      path.push({ start: middle, end });
      end = middle;
    } else {
      path.push({ start, end: middle });
      start = middle;
    }
  }
  return path.reverse();
}

/** PROOF(oldSize, D[size]): the ranges whose hashes prove that the old tree is a prefix. None for sizes 0 and `size`. */
export function consistencyRanges(oldSize: number, size: number): Range[] {
  if (!(oldSize >= 0 && oldSize <= size)) throw outside('tree size');
  if (oldSize === 0 || oldSize === size) return [];
  const path: Range[] = [];
  let [start, end, whole] = [0, size, true];
  while (end !== oldSize) {
    const middle = start + split(end - start);
    if (oldSize <= middle) {
      path.push({ start: middle, end });
      end = middle;
    } else {
      path.push({ start, end: middle });
      start = middle;
      whole = false;
    }
  }
  if (!whole) path.push({ start, end });
  return path.reverse();
}

/** The perfect subtrees that make up a range of a tree, from left to right. `start` must be where a subtree begins. */
function perfectNodes(range: Range): Node[] {
  const nodes: Node[] = [];
  let start = range.start;
  while (start < range.end) {
    let height = 0;
    while (start % 2 ** (height + 1) === 0 && start + 2 ** (height + 1) <= range.end) height++;
    nodes.push({ height, index: start / 2 ** height });
    start += 2 ** height;
  }
  return nodes;
}

/** MTH of a range from the hashes of its perfect nodes, at least one. */
function foldNodes(hashes: readonly Uint8Array[]): Uint8Array {
  return hashes.slice(0, -1).reduceRight((root, hash) => nodeHash(hash, root), hashes.at(-1)!);
}

/** Gives the hashes of nodes, in order, from wherever they are kept. */
export type ReadNodes = (nodes: readonly Node[]) => Promise<Uint8Array[]>;

/** The hashes of ranges, which is a proof when the ranges are those of one. Reads all nodes at once. */
export async function rangeHashes(ranges: readonly Range[], read: ReadNodes): Promise<Uint8Array[]> {
  const nodes = ranges.map(perfectNodes);
  const hashes = await read(nodes.flat());
  let at = 0;
  return nodes.map((own) => {
    const parts = hashes.slice(at, at + own.length);
    at += own.length;
    return foldNodes(parts);
  });
}

/** True when `proof` shows that `leaf` is the hash at `index` of the tree of `size` leaves with `root`. */
export function verifyInclusion(
  leaf: Uint8Array,
  index: number,
  tree: { readonly size: number; readonly root: Uint8Array },
  proof: readonly Uint8Array[],
): boolean {
  if (!Number.isSafeInteger(index) || index < 0 || index >= tree.size) return false;
  let [fn, sn] = [index, tree.size - 1];
  let hash = leaf;
  for (const sibling of proof) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      hash = nodeHash(sibling, hash);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [halve(fn), halve(sn)];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [fn, sn] = [halve(fn), halve(sn)];
  }
  return sn === 0 && equalBytes(hash, tree.root);
}

/** True when `proof` shows that the tree `old` is a prefix of the tree `now`. The empty tree is a prefix of any. */
export function verifyConsistency(
  old: { readonly size: number; readonly root: Uint8Array },
  now: { readonly size: number; readonly root: Uint8Array },
  proof: readonly Uint8Array[],
): boolean {
  if (old.size > now.size) return false;
  if (old.size === now.size) return proof.length === 0 && equalBytes(old.root, now.root);
  if (old.size === 0) return proof.length === 0;
  let [fn, sn] = [old.size - 1, now.size - 1];
  while (fn % 2 === 1) [fn, sn] = [halve(fn), halve(sn)];
  // An old tree that is one perfect subtree is its own first node and does not stand in the proof.
  const [first, ...rest] = fn === 0 ? [old.root, ...proof] : proof;
  if (first === undefined) return false;
  let [oldHash, newHash] = [first, first];
  for (const hash of rest) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      oldHash = nodeHash(hash, oldHash);
      newHash = nodeHash(hash, newHash);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [halve(fn), halve(sn)];
    } else {
      newHash = nodeHash(newHash, hash);
    }
    [fn, sn] = [halve(fn), halve(sn)];
  }
  return sn === 0 && equalBytes(oldHash, old.root) && equalBytes(newHash, now.root);
}

function halve(n: number): number {
  return Math.floor(n / 2);
}

function outside(what: string): WritError {
  return new WritError('bad_note', `the ${what} is not in the tree`, { remedy: 'Ask for one below the tree size.' });
}
