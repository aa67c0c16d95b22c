import { WritError } from '../base/error.ts';
import type { Reader } from '../db/database.ts';
import { inclusionRanges, rangeHashes } from '../merkle/proof.ts';
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
export async function receipt(reader: Reader, leaf: number): Promise<string> {
  const cosigned = await latestCheckpoint(reader);
  const tree = cosigned !== undefined && cosigned.size > leaf ? cosigned : await readHead(reader);
  const entry = Number.isSafeInteger(leaf) && leaf >= 0 ? await readEntry(reader, leaf) : undefined;
  if (tree === undefined || entry === undefined || tree.size <= leaf) {
    throw new WritError('not_found', 'the ledger has no entry of this number');
  }
  const hashes = await rangeHashes(inclusionRanges(leaf, tree.size), storedTree(reader, tree.size));
  return formatTlogProof({ index: leaf, hashes, checkpoint: tree.note, extra: entry });
}
