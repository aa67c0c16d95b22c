import { WritError } from '../base/error.ts';
import { HASH_SIZE } from './hash.ts';
import type { ReadNodes } from './proof.ts';
import { subtreeRoot, TILE_HEIGHT, TILE_WIDTH, tileWidth } from './tile.ts';

/** Gives the bytes of one tile, at least `width` hashes of it. */
export type ReadTile = (level: number, index: number, width: number) => Promise<Uint8Array>;

/**
 * Reads nodes out of the tiles of a tree of `size` leaves, each tile once. The tiles are taken at their word: whoever
 * needs certainty verifies the proof that is made of them.
 */
export function nodesFromTiles(size: number, readTile: ReadTile): ReadNodes {
  return async (nodes) => {
    const tiles = new Map<string, Promise<Uint8Array>>();
    return Promise.all(
      nodes.map(async ({ height, index }) => {
        const level = Math.floor(height / TILE_HEIGHT);
        const count = 2 ** (height % TILE_HEIGHT);
        const tileIndex = Math.floor((index * count) / TILE_WIDTH);
        const position = (index * count) % TILE_WIDTH;
        const width = tileWidth(level, tileIndex, size);
        if (position + count > width) throw new WritError('bad_note', 'the tree has no such node yet');
        const key = `${level}/${tileIndex}`;
        let tile = tiles.get(key);
        if (tile === undefined) {
          tile = readTile(level, tileIndex, width);
          tiles.set(key, tile);
        }
        const hashes = await tile;
        if (hashes.length < width * HASH_SIZE) throw new WritError('bad_note', 'a tile is shorter than its width');
        return subtreeRoot(hashes, position, count);
      }),
    );
  };
}
