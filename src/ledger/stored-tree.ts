import type { Reader } from '../db/database.ts';
import { emptyRoot, leafHash } from '../merkle/hash.ts';
import { type ReadNodes, rangeHashes } from '../merkle/proof.ts';
import { TILE_WIDTH } from '../merkle/tile.ts';
import { nodesFromTiles } from '../merkle/tile-reader.ts';
import { readEntries, readTile, readTileRoots } from './store.ts';

/**
 * The hashes of a stored tile of which the tree has `width`. Full tiles are stored; a partial one is made of entries
 * (level 0) or of the roots of full tiles one level down.
 */
export async function tileHashes(reader: Reader, level: number, index: number, width: number): Promise<Uint8Array> {
  if (width === TILE_WIDTH) return readTile(reader, level, index);
  const start = index * TILE_WIDTH;
  const hashes =
    level === 0
      ? (await readEntries(reader, start, start + width)).map(leafHash)
      : await readTileRoots(reader, level - 1, start, start + width);
  return Buffer.concat(hashes);
}

/** Reads the nodes of the stored tree as it was at `size`. Tiles at its edge, which have to be made, are made once. */
export function storedTree(reader: Reader, size: number): ReadNodes {
  const partial = new Map<string, Promise<Uint8Array>>();
  return nodesFromTiles(size, (level, index, width) => {
    if (width === TILE_WIDTH) return readTile(reader, level, index);
    const key = `${level}/${index}`;
    const made = partial.get(key) ?? tileHashes(reader, level, index, width);
    partial.set(key, made);
    return made;
  });
}

/** Root that the stored tree had at `size`. */
export async function storedRoot(reader: Reader, size: number): Promise<Uint8Array> {
  if (size === 0) return emptyRoot();
  const [root] = await rangeHashes([{ start: 0, end: size }], storedTree(reader, size));
  return root!;
}
