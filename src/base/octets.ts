/** Below this the engine keeps octets among its own objects, which costs next to nothing. */
const ON_HEAP = 64;

/**
 * Octets for a caller that fills all of them: until then they hold what somebody else left. They come from Node's pool,
 * because allocating and freeing memory of their own costs more than writing a small encoding. Never transfer their
 * buffer, and never keep them as long as the process lives: they hold on to the pool's 64 KiB.
 */
export function octets(length: number): Uint8Array {
  if (length <= ON_HEAP) return new Uint8Array(length);
  const { buffer, byteOffset } = Buffer.allocUnsafe(length);
  return new Uint8Array(buffer, byteOffset, length);
}
