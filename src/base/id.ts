import type { Random } from './random.ts';

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz';

/**
 * A new identifier: 26 lower-case characters of Crockford base 32, 48 bits of time (milliseconds) before 80 random
 * bits (the ULID layout). Ids made later sort later, so that rows stay in order of creation; nobody can guess one.
 * `now` must be an integer in 0 … 2^48 - 1.
 */
export function newId(now: number, random: Random): string {
  let text = '';
  for (let rest = now, i = 0; i < 10; i++) {
    text = CROCKFORD[rest % 32] + text;
    rest = Math.floor(rest / 32);
  }
  const bytes = random(10);
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += CROCKFORD[(held >>> bits) & 31];
    }
    held &= (1 << bits) - 1;
  }
  return text;
}

/** True for text of the shape that `newId` makes. */
export function isId(text: string): boolean {
  return /^[0-7][0-9a-hjkmnp-tv-z]{25}$/.test(text);
}
