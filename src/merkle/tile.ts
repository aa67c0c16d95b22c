import { WritError } from '../base/error.ts';
import { HASH_SIZE, nodeHash } from './hash.ts';

/**
 * Tiles of the Merkle tree as C2SP tlog-tiles v0.1.0 defines them: 256 consecutive hashes of one height, a multiple of
 * eight. Level 0 holds leaf hashes; each hash at level l + 1 is the root of one full tile at level l. Wire values: none
 * of the constants here can ever change.
 */
export const TILE_HEIGHT = 8;
export const TILE_WIDTH = 256;
export const TILE_BYTES: number = TILE_WIDTH * HASH_SIZE;
const MAX_LEVEL = 63;

/** Which tile, or which entry bundle. `width` is 256 for a full one, 1 … 255 for a partial one. */
export interface TileName {
  readonly level: number | 'entries';
  readonly index: number;
  readonly width: number;
}

/** How many hashes of tile `index` at `level` exist in a tree of `size` leaves: 0 … 256. */
export function tileWidth(level: number, index: number, size: number): number {
  const atLevel = Math.floor(size / TILE_WIDTH ** level);
  return Math.max(0, Math.min(TILE_WIDTH, atLevel - index * TILE_WIDTH));
}

/** The path below the log's prefix, e.g. `tile/0/x001/x234/067.p/112`. */
export function tilePath(tile: TileName): string {
  let rest = tile.index;
  let path = String(rest % 1000).padStart(3, '0');
  while (rest >= 1000) {
    rest = Math.floor(rest / 1000);
    path = `x${String(rest % 1000).padStart(3, '0')}/${path}`;
  }
  const suffix = tile.width === TILE_WIDTH ? '' : `.p/${tile.width}`;
  return `tile/${tile.level}/${path}${suffix}`;
}

const PATH = /^tile\/(entries|0|[1-9]\d?)\/((?:x\d{3}\/){0,5}\d{3})(?:\.p\/([1-9]\d{0,2}))?$/;

/** Reads what `tilePath` writes. Anything else (padding too many, width 0 or 256 as partial) is `bad_note`. */
export function parseTilePath(path: string): TileName {
  const match = path.length <= 64 ? PATH.exec(path) : null;
  if (match === null) throw badPath();
  const level: TileName['level'] = match[1] === 'entries' ? 'entries' : Number(match[1]);
  const index = Number(match[2]!.replace(/[x/]/g, ''));
  const width = match[3] === undefined ? TILE_WIDTH : Number(match[3]);
  if (match[3] !== undefined && width >= TILE_WIDTH) throw badPath();
  if (level !== 'entries' && level > MAX_LEVEL) throw badPath();
  const tile = { level, index, width };
  if (!Number.isSafeInteger(index) || tilePath(tile) !== path) throw badPath();
  return tile;
}

function badPath(): WritError {
  return new WritError('bad_note', 'not the path of a tile or an entry bundle', {
    remedy: 'Use tile/<level>/<index> or tile/entries/<index>, as in tile/0/x001/234.p/7 (C2SP tlog-tiles).',
  });
}

/** The hash at `position` of a tile's bytes. */
export function hashAt(tile: Uint8Array, position: number): Uint8Array {
  return tile.subarray(position * HASH_SIZE, (position + 1) * HASH_SIZE);
}

/** Root of `count` consecutive hashes (a power of two) in a tile, from `position` on. */
export function subtreeRoot(tile: Uint8Array, position: number, count: number): Uint8Array {
  if (count === 1) return hashAt(tile, position);
  const half = count / 2;
  return nodeHash(subtreeRoot(tile, position, half), subtreeRoot(tile, position + half, half));
}
