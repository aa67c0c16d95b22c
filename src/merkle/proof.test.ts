import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Edge, type FullTile } from './edge.ts';
import {
  consistencyRanges,
  inclusionRanges,
  type Range,
  rangeHashes,
  verifyConsistency,
  verifyInclusion,
} from './proof.ts';
import { leaves, naiveRoot } from './testdata/naive-tree.ts';
import { nodesFromTiles } from './tile-reader.ts';

const LEAVES = leaves(600);
const hashes = (ranges: Range[]): Uint8Array[] => ranges.map(({ start, end }) => naiveRoot(LEAVES.slice(start, end)));
const tree = (size: number): { size: number; root: Uint8Array } => ({ size, root: naiveRoot(LEAVES.slice(0, size)) });

describe('inclusion', () => {
  it('proves every leaf of every tree to 40, and nothing else', () => {
    for (let size = 1; size <= 40; size++) {
      for (let index = 0; index < size; index++) {
        const proof = hashes(inclusionRanges(index, size));
        const leaf = LEAVES[index]!;
        assert.ok(verifyInclusion(leaf, index, tree(size), proof), `${index} of ${size}`);
        assert.ok(!verifyInclusion(leaf, index, tree(size + 1), proof));
        assert.ok(!verifyInclusion(LEAVES[index + 1]!, index, tree(size), proof));
        if (size > 1) assert.ok(!verifyInclusion(leaf, (index + 1) % size, tree(size), proof));
        assert.ok(!verifyInclusion(leaf, index, tree(size), [...proof, leaf]));
        if (proof.length > 0) assert.ok(!verifyInclusion(leaf, index, tree(size), proof.slice(0, -1)));
      }
      assert.throws(() => inclusionRanges(size, size), { code: 'bad_note' });
      assert.ok(!verifyInclusion(LEAVES[size]!, size, tree(size), []));
    }
  });

  it('finds any changed bit of a proof', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 600 }), fc.nat(), fc.nat(), fc.nat(255), (size, at, which, bit) => {
        const index = at % size;
        const proof = hashes(inclusionRanges(index, size)).map((hash) => Buffer.from(hash));
        proof[which % proof.length]![bit >> 3]! ^= 1 << (bit & 7);
        return !verifyInclusion(LEAVES[index]!, index, tree(size), proof);
      }),
      { numRuns: 60 },
    );
  });
});

describe('consistency', () => {
  it('proves every pair of sizes to 40, and nothing else', () => {
    for (let size = 0; size <= 40; size++) {
      for (let old = 0; old <= size; old++) {
        const proof = hashes(consistencyRanges(old, size));
        assert.ok(verifyConsistency(tree(old), tree(size), proof), `${old} to ${size}`);
        assert.ok(!verifyConsistency(tree(old), tree(size), [...proof, LEAVES[0]!]));
        if (old === 0) continue;
        const other = { size: old, root: LEAVES[599]! };
        assert.ok(!verifyConsistency(other, tree(size), proof));
        assert.ok(!verifyConsistency(tree(old), { ...tree(size), root: LEAVES[599]! }, proof));
        if (proof.length > 0) assert.ok(!verifyConsistency(tree(old), tree(size), proof.slice(1)));
        assert.ok(!verifyConsistency(tree(size + 1), tree(size), proof));
      }
      assert.throws(() => consistencyRanges(size + 1, size), { code: 'bad_note' });
    }
  });
});

describe('proofs from tiles', () => {
  it('are those of the naive tree', async () => {
    const size = 256 * 256 + 700;
    const all = leaves(size);
    const edge = new Edge();
    const full = new Map<string, FullTile>();
    for (const leaf of all) for (const tile of edge.append(leaf)) full.set(`${tile.level}/${tile.index}`, tile);
    const read = nodesFromTiles(size, async (level, index) => {
      return full.get(`${level}/${index}`)?.hashes ?? edge.partialTile(level);
    });
    const now = { size, root: edge.root() };
    assert.deepEqual(now.root, naiveRoot(all));
    for (const index of [0, 1, 255, 256, 65_535, 65_536, 66_000, size - 2, size - 1]) {
      const proof = await rangeHashes(inclusionRanges(index, size), read);
      assert.ok(verifyInclusion(all[index]!, index, now, proof), `leaf ${index}`);
    }
    for (const old of [1, 2, 255, 256, 257, 600, 65_536, 65_537, size - 1]) {
      const proof = await rangeHashes(consistencyRanges(old, size), read);
      assert.ok(verifyConsistency({ size: old, root: naiveRoot(all.slice(0, old)) }, now, proof), `size ${old}`);
    }
  });

  it('refuse a node that the tree does not have and a tile that is too short', async () => {
    const read = nodesFromTiles(3, async () => Buffer.alloc(64));
    await assert.rejects(read([{ height: 1, index: 1 }]), { code: 'bad_note' });
    await assert.rejects(read([{ height: 0, index: 0 }]), { code: 'bad_note' });
  });
});
