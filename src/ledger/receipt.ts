import { WritError } from '../base/error.ts';
import type { Reader } from '../db/database.ts';
import { inclusionRanges, type ReadNodes, rangeHashes } from '../merkle/proof.ts';
import { formatTlogProof } from '../merkle/tlog-proof.ts';
import { latestCheckpoint } from './checkpoint-store.ts';
import { readHead } from './head.ts';
import { readEntry } from './store.ts';
import { storedTree } from './stored-tree.ts';

/**
 * The receipt of one entry (C2SP tlog-proof): it verifies offline with the log's public keys. Its `extra` line carries
 * the entry itself, so that nothing else is needed. Under a checkpoint with both signatures when one covers the leaf
 * (after a second at most), else under that of the head, which has the Ed25519 signature alone. `not_found` when there is
 * no such leaf.
 */
export function receipt(reader: Reader, leaf: number): Promise<string> {
  return receipts(reader)(leaf);
}

/** Makes receipts one after another, as `receipt` does. What their proofs have in common is read and hashed once. */
export function receipts(reader: Reader): (leaf: number) => Promise<string> {
  const trees = new Map<number, ReadNodes>();
  let cosigned: ReturnType<typeof latestCheckpoint> | undefined;
  let head: ReturnType<typeof readHead> | undefined;
  return async (leaf) => {
    cosigned ??= latestCheckpoint(reader);
    let tree: { readonly size: number; readonly note: string } | undefined = await cosigned;
    if (tree === undefined || tree.size <= leaf) {
      head ??= readHead(reader);
      tree = await head;
    }
    const entry = Number.isSafeInteger(leaf) && leaf >= 0 ? await readEntry(reader, leaf) : undefined;
    if (tree === undefined || entry === undefined || tree.size <= leaf) {
      throw new WritError('not_found', 'The ledger has no entry of this number.', {
        remedy: 'Entries are numbered from 0; "writ ledger list" shows the last ones.',
      });
    }
    const nodes = trees.get(tree.size) ?? remembering(storedTree(reader, tree.size));
    trees.set(tree.size, nodes);
    const hashes = await rangeHashes(inclusionRanges(leaf, tree.size), nodes);
    return formatTlogProof({ index: leaf, hashes, checkpoint: tree.note, extra: entry });
  };
}

/** Reads each node once. */
function remembering(read: ReadNodes): ReadNodes {
  const known = new Map<string, Uint8Array>();
  return async (nodes) => {
    const keys = nodes.map(({ height, index }) => `${height}/${index}`);
    const missing = nodes.filter((_, i) => !known.has(keys[i]!));
    const hashes = missing.length === 0 ? [] : await read(missing);
    for (const [i, { height, index }] of missing.entries()) known.set(`${height}/${index}`, hashes[i]!);
    return keys.map((key) => known.get(key)!);
  };
}
