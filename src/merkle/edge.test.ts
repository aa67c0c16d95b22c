import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Edge, type FullTile, tileLevels } from './edge.ts';
import { emptyRoot, leafHash, nodeHash } from './hash.ts';
import { leaves, naiveRoot } from './testdata/naive-tree.ts';
import { TILE_WIDTH, tileWidth } from './tile.ts';

const N = 600;
const LEAVES = leaves(N);

describe('RFC 6962 tree', () => {
  // The tree of RFC 6962 test implementations: certificate-transparency-go merkle/testdata, transparency-dev/merkle.
  const inputs = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
  const roots = [
    'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
    'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
    'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
    '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
    'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
    '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
  ];
  it('has the published roots', () => {
    const edge = new Edge();
    assert.equal(Buffer.from(edge.root()).toString('hex'), roots[0]);
    inputs.forEach((input, i) => {
      edge.append(leafHash(Buffer.from(input, 'hex')));
      assert.equal(Buffer.from(edge.root()).toString('hex'), roots[i + 1]);
    });
  });
});

describe('Edge', () => {
  it('has the root of the naive tree at every size to 600', () => {
    const edge = new Edge();
    assert.deepEqual(edge.root(), emptyRoot());
    for (let size = 1; size <= N; size++) {
      edge.append(LEAVES[size - 1]!);
      assert.equal(edge.size, size);
      assert.deepEqual(edge.root(), naiveRoot(LEAVES.slice(0, size)), `size ${size}`);
    }
  });

  it('fills tiles with the hashes and roots that the naive tree has', () => {
    const many = leaves(TILE_WIDTH * TILE_WIDTH + 3 * TILE_WIDTH + 5);
    const edge = new Edge();
    const tiles: FullTile[] = many.flatMap((leaf) => edge.append(leaf));
    assert.equal(tiles.filter((tile) => tile.level === 0).length, 259);
    assert.equal(tiles.filter((tile) => tile.level === 1).length, 1);
    tiles.forEach((tile) => {
      assert.deepEqual(tile.root, naiveRoot(split(tile.hashes)), `root of ${tile.level}/${tile.index}`);
    });
    for (const tile of tiles.filter((tile) => tile.level === 0)) {
      assert.deepEqual(split(tile.hashes), many.slice(tile.index * TILE_WIDTH, (tile.index + 1) * TILE_WIDTH));
    }
    const upper = tiles.find((tile) => tile.level === 1)!;
    const lower = tiles.filter((tile) => tile.level === 0).slice(0, TILE_WIDTH);
    assert.deepEqual(
      split(upper.hashes),
      lower.map((tile) => tile.root),
    );
    assert.deepEqual(edge.root(), naiveRoot(many));
    assert.equal(tileLevels(many.length), 3);
  });

  it('is the same when restored from its partial tiles, at every size to 600 and goes on the same', () => {
    const edge = new Edge();
    for (let size = 0; size <= N; size++) {
      const partial = Array.from({ length: tileLevels(size) }, (_, level) => edge.partialTile(level));
      partial.forEach((hashes, level) => {
        const width = tileWidth(level, Math.floor(Math.floor(size / TILE_WIDTH ** level) / TILE_WIDTH), size);
        assert.equal(hashes.length, width * 32);
      });
      const again = Edge.restore(size, partial);
      assert.deepEqual(again.root(), edge.root(), `size ${size}`);
      if (size < N) {
        const leaf = LEAVES[size]!;
        assert.deepEqual(again.append(leaf), edge.append(leaf));
        assert.deepEqual(again.root(), edge.root());
      }
    }
  });

  it('does not let a clone change its original', () => {
    fc.assert(
      fc.property(fc.nat(700), fc.nat(300), (size, more) => {
        const edge = new Edge();
        const all = leaves(size + more);
        for (const leaf of all.slice(0, size)) edge.append(leaf);
        const before = edge.root();
        const copy = edge.clone();
        for (let i = 0; i < more; i++) copy.append(nodeHash(LEAVES[0]!, LEAVES[i]!));
        assert.deepEqual(edge.root(), before);
        for (const leaf of all.slice(size)) edge.append(leaf);
        assert.deepEqual(edge.root(), naiveRoot(all));
      }),
      { numRuns: 30 },
    );
  });
});

function split(hashes: Uint8Array): Uint8Array[] {
  return Array.from({ length: hashes.length / 32 }, (_, i) => hashes.slice(i * 32, i * 32 + 32));
}
