/** A text of somebody else as a line of a listing can have it: at most 255 characters, none that moves the cursor. */
export function readable(text: string): string {
  const plain = text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '?');
  return plain.length <= 255 ? plain : `${plain.slice(0, 254)}…`;
}
