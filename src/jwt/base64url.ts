/** Base 64 for URLs, without padding (RFC 7515 §2). */
export function toBase64url(octets: Uint8Array | string): string {
  return Buffer.from(octets as Uint8Array).toString('base64url');
}

/** The octets, or undefined unless `text` is exactly what `toBase64url` writes: one spelling for each value. */
export function fromBase64url(text: string): Uint8Array | undefined {
  const octets = Buffer.from(text, 'base64url');
  return octets.toString('base64url') === text ? octets : undefined;
}
