import { emptyRoot, HASH_SIZE, nodeHash } from './hash.ts';
import { subtreeRoot, TILE_BYTES, TILE_HEIGHT, TILE_WIDTH, tileWidth } from './tile.ts';

/** A tile that an append has filled, with its root, which is its entry in the tile one level up. */
export interface FullTile {
  readonly level: number;
  readonly index: number;
  readonly root: Uint8Array;
  readonly hashes: Uint8Array;
}

/**
 * The right edge of a growing tree: all that is needed to append and to know the root, about 8 KiB a tile level.
 *
 * The frontier is the stack of perfect subtrees that make up the tree, largest first. An append merges as often as
 * the old size ends in one bits; the node after every eighth merge is the root of the tile just filled and thereby the
 * next hash one tile level up, so that no tile is ever hashed a second time.
 */
export class Edge {
  #size = 0;
  #frontier: Uint8Array[] = [];
  /** One buffer a level; only the first `tileWidth` hashes of each are meant. */
  #tiles: Uint8Array[] = [];

  get size(): number {
    return this.#size;
  }

  /** Independent of the original: appending to one leaves the other alone. */
  clone(): Edge {
    const copy = new Edge();
    copy.#size = this.#size;
    copy.#frontier = this.#frontier.slice();
    copy.#tiles = this.#tiles.map((tile) => tile.slice());
    return copy;
  }

  /**
   * The edge of a tree of `size` leaves from the hashes of its partial tiles, lowest level first, each exactly
   * `tileWidth(level, …, size)` hashes long (perhaps none) and no level left out.
   */
  static restore(size: number, partialTiles: readonly Uint8Array[]): Edge {
    const edge = new Edge();
    edge.#size = size;
    edge.#tiles = partialTiles.map((hashes) => {
      const tile = new Uint8Array(TILE_BYTES);
      tile.set(hashes);
      return tile;
    });
    for (let level = partialTiles.length - 1; level >= 0; level--) {
      // A partial tile of width w is the perfect subtrees named by the one bits of w, the largest first.
      const width = partialTiles[level]!.length / HASH_SIZE;
      let at = 0;
      for (let count = TILE_WIDTH / 2; count >= 1; count /= 2) {
        if ((width & count) === 0) continue;
        edge.#frontier.push(subtreeRoot(edge.#tiles[level]!, at, count));
        at += count;
      }
    }
    return edge;
  }

  /** Appends one leaf by its hash; gives the tiles that it filled, lowest level first (nearly always none). */
  append(leaf: Uint8Array): readonly FullTile[] {
    let filled: FullTile[] | undefined;
    let open = this.#put(0, leaf);
    let node = leaf;
    let rest = this.#size;
    for (let merges = 1; rest % 2 === 1; merges++) {
      node = nodeHash(this.#frontier.pop()!, node);
      rest = (rest - 1) / 2;
      if (merges % TILE_HEIGHT === 0) {
        const level = merges / TILE_HEIGHT;
        filled ??= [];
        filled.push({ ...open!, root: node });
        open = this.#put(level, node);
      }
    }
    this.#frontier.push(node);
    this.#size++;
    return filled ?? [];
  }

  /** MTH of the tree (RFC 6962 §2.1). */
  root(): Uint8Array {
    let root = this.#frontier.at(-1);
    if (root === undefined) return emptyRoot();
    for (let i = this.#frontier.length - 2; i >= 0; i--) root = nodeHash(this.#frontier[i]!, root);
    return root;
  }

  /** Hashes of the unfinished tile at `level`; none when the last one there is full. A copy. */
  partialTile(level: number): Uint8Array {
    const width = Math.floor(this.#size / TILE_WIDTH ** level) % TILE_WIDTH;
    return (this.#tiles[level] ?? new Uint8Array()).slice(0, width * HASH_SIZE);
  }

  /** Puts the next hash at a level; when that fills the tile, gives it away and starts a fresh buffer. */
  #put(level: number, hash: Uint8Array): Omit<FullTile, 'root'> | undefined {
    const position = Math.floor(this.#size / TILE_WIDTH ** level);
    const index = Math.floor(position / TILE_WIDTH);
    this.#tiles[level] ??= new Uint8Array(TILE_BYTES);
    const tile = this.#tiles[level];
    tile.set(hash, (position % TILE_WIDTH) * HASH_SIZE);
    if (position % TILE_WIDTH !== TILE_WIDTH - 1) return undefined;
    this.#tiles[level] = new Uint8Array(TILE_BYTES);
    return { level, index, hashes: tile };
  }
}

/** How many tile levels a tree of `size` leaves has: the levels with at least one hash. */
export function tileLevels(size: number): number {
  let levels = 0;
  while (tileWidth(levels, 0, size) > 0) levels++;
  return levels;
}
