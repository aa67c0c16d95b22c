import { WritError } from '../../base/error.ts';
import type { Random } from '../../base/random.ts';

/**
 * A serial number says when its certificate was issued and when it expires, so that it names the partition of its row
 * and nobody has to look either up. 20 octets, big-endian; the layout is in every certificate and never changes:
 *
 * ```
 *  0   6  expiry, milliseconds since the Unix epoch
 *  6   4  lifetime, seconds
 * 10  10  random
 * ```
 *
 * 80 random bits are beyond the 64 that keep an attacker from choosing what is signed. The first octet is neither 0
 * nor above 0x7f from 2004 to 6429, so the number is positive and in minimal form (RFC 5280 §4.1.2.2: 20 octets at most).
 */
const SERIAL_LENGTH = 20;

const RANDOM_LENGTH = 10;
const EARLIEST = 2 ** 40;
const LATEST = 2 ** 47;

export interface SerialTimes {
  /** Milliseconds since the Unix epoch. */
  readonly issuedAt: number;
  /** Milliseconds; `issuedAt` and the lifetime together. */
  readonly expiresAt: number;
  /** Whole seconds, at least 1. */
  readonly lifetime: number;
}

/** A new serial number. `issuedAt` in milliseconds, `lifetime` in whole seconds, 1 to 2^32 - 1. */
export function makeSerial(issuedAt: number, lifetime: number, random: Random): Uint8Array {
  const expiresAt = issuedAt + lifetime * 1000;
  const fits = issuedAt >= EARLIEST && expiresAt < LATEST && lifetime >= 1 && lifetime < 2 ** 32;
  if (!fits || !Number.isInteger(issuedAt) || !Number.isInteger(lifetime)) {
    throw new WritError('clock', 'The clock is not in a year that a serial number can hold.', {
      remedy: 'Set the clock of this machine.',
    });
  }
  const serial = new Uint8Array(SERIAL_LENGTH);
  const high = Math.floor(expiresAt / 2 ** 32);
  serial[0] = high >>> 8;
  serial[1] = high;
  writeUint32(serial, 2, expiresAt);
  writeUint32(serial, 6, lifetime);
  serial.set(random(RANDOM_LENGTH), SERIAL_LENGTH - RANDOM_LENGTH);
  return serial;
}

/** The times in a serial number that `makeSerial` made; undefined for one that it cannot have made. */
export function readSerial(serial: Uint8Array): SerialTimes | undefined {
  if (serial.length !== SERIAL_LENGTH || serial[0]! >= 0x80) return undefined;
  const expiresAt = (serial[0]! * 256 + serial[1]!) * 2 ** 32 + readUint32(serial, 2);
  const lifetime = readUint32(serial, 6);
  const issuedAt = expiresAt - lifetime * 1000;
  return lifetime === 0 || issuedAt < EARLIEST ? undefined : { issuedAt, expiresAt, lifetime };
}

/** Serial numbers above this one expire after `time`, in milliseconds: they begin with the expiry. */
export function endsAfter(time: number): Uint8Array {
  const bound = new Uint8Array(6);
  const high = Math.floor((time + 1) / 2 ** 32);
  bound[0] = high >>> 8;
  bound[1] = high;
  writeUint32(bound, 2, time + 1);
  return bound;
}

/** As people write it: 40 lower-case hexadecimal digits. */
export function formatSerial(serial: Uint8Array): string {
  return serial.toHex();
}

/**
 * Takes a serial number as people paste it: hexadecimal, upper or lower case, with or without colons, with the leading
 * zero that some tools leave out. Throws `bad_request` for what no certificate of Writ can have.
 */
export function parseSerial(text: string, field: string): Uint8Array {
  const digits =
    text.length > 80
      ? ''
      : text
          .replaceAll(':', '')
          .toLowerCase()
          .padStart(2 * SERIAL_LENGTH, '0');
  const serial = /^[0-9a-f]{40}$/.test(digits) ? new Uint8Array(Buffer.from(digits, 'hex')) : undefined;
  if (serial !== undefined && readSerial(serial) !== undefined) return serial;
  throw new WritError('bad_request', 'This is not a serial number of Writ.', {
    field,
    remedy: 'Give the 40 hexadecimal digits as "writ cert list" or "openssl x509 -serial" show them.',
  });
}

function writeUint32(octets: Uint8Array, at: number, value: number): void {
  octets[at] = value / 2 ** 24;
  octets[at + 1] = value / 2 ** 16;
  octets[at + 2] = value / 2 ** 8;
  octets[at + 3] = value;
}

function readUint32(octets: Uint8Array, at: number): number {
  return octets[at]! * 2 ** 24 + (((octets[at + 1]! << 16) | (octets[at + 2]! << 8) | octets[at + 3]!) >>> 0);
}
