import { WritError } from '../base/error.ts';
import type { Random } from '../base/random.ts';

const SHORTEST = 12;
export const LONGEST_PASSPHRASE = 1024;
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/**
 * The passphrase that opens the sealed keys of an installation. It lies in a private field, so that whoever prints,
 * logs or serialises the object gets an empty one; `reveal` is for key derivation and for the owner-only file alone.
 */
export class Passphrase {
  readonly #octets: Uint8Array;

  constructor(octets: Uint8Array) {
    this.#octets = new Uint8Array(octets);
  }

  /** A copy, which the caller wipes. */
  reveal(): Buffer {
    return Buffer.from(this.#octets);
  }
}

/** A new passphrase: 130 random bits as 26 characters in groups that a person can copy. */
export function makePassphrase(random: Random): Passphrase {
  const characters = Array.from(random(26), (octet) => ALPHABET[octet & 31]!);
  const groups = [0, 7, 13, 20].map((start, n, starts) => characters.slice(start, starts[n + 1] ?? 26).join(''));
  return new Passphrase(Buffer.from(groups.join('-')));
}

/**
 * Takes a passphrase as it came from outside: 12 to 1024 octets of UTF-8 without control characters; one line end at
 * the end is not part of it. `field` names where it came from. Throws `bad_config`, which never holds the passphrase.
 */
export function parsePassphrase(octets: Uint8Array, field: string): Passphrase {
  let end = octets.length;
  if (octets[end - 1] === 0x0a) end -= octets[end - 2] === 0x0d ? 2 : 1;
  const trimmed = octets.subarray(0, end);
  const fault = faultOf(trimmed);
  if (fault === undefined) return new Passphrase(trimmed);
  throw new WritError('bad_config', `The passphrase ${fault}.`, {
    field,
    remedy: `Give one line of ${SHORTEST} to ${LONGEST_PASSPHRASE} octets of UTF-8.`,
  });
}

function faultOf(octets: Uint8Array): string | undefined {
  if (octets.length === 0) return 'is empty';
  if (octets.length < SHORTEST) return 'is too short';
  if (octets.length > LONGEST_PASSPHRASE) return 'is too long';
  if (octets.some((octet) => octet < 0x20 || octet === 0x7f)) return 'has a control character or several lines';
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(octets);
    return undefined;
  } catch {
    return 'is not UTF-8';
  }
}
