import type { FileHandle } from 'node:fs/promises';

const CHUNK = 256 * 1024;
const LINE_FEED = 0x0a;

/**
 * The lines of a file from the last to the first, without their line feeds. What stands behind the last line feed comes
 * first (nothing, for a file that ends as it should). Reads only as far as it is asked; memory is bounded by the
 * longest line.
 */
export async function* linesBackward(file: FileHandle): AsyncGenerator<Uint8Array> {
  let end = (await file.stat()).size;
  /** Parts of the line that begins before `end`, last part first. */
  let parts: Uint8Array[] = [];
  while (end > 0) {
    const size = Math.min(CHUNK, end);
    const chunk = Buffer.allocUnsafe(size);
    const { bytesRead } = await file.read(chunk, 0, size, end - size);
    if (bytesRead !== size) return;
    let lineEnd = size;
    for (let at = chunk.lastIndexOf(LINE_FEED); at >= 0; at = at === 0 ? -1 : chunk.lastIndexOf(LINE_FEED, at - 1)) {
      yield Buffer.concat([chunk.subarray(at + 1, lineEnd), ...parts.reverse()]);
      parts = [];
      lineEnd = at;
    }
    parts.push(chunk.subarray(0, lineEnd));
    end -= size;
  }
  yield Buffer.concat(parts.reverse());
}
