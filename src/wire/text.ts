import * as z from 'zod';
import { type Schema, schemaOf } from './schema.ts';

/*
 * The texts that many resources share. Shapes here keep out what is hopeless and bound all lengths; the folder that owns
 * a value parses it again into its own type.
 */

export const name: Schema<string> = z
  .string()
  .max(63)
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'Give 1 to 63 lower-case letters, digits and dashes, like planner.');

/** An identifier that Writ made. */
export const id: Schema<string> = z
  .string()
  // The expression bounds the length, too: a check of its own would only say that the value is short or long.
  .regex(/^[0-7][0-9a-hjkmnp-tv-z]{25}$/, 'Give an id of 26 characters, as the listings show it.')
  .meta({ minLength: 26, maxLength: 26 });

/** A serial number: 20 octets in lower-case hex. */
export const serial: Schema<string> = z
  .string()
  .length(40)
  .regex(/^[0-9a-f]{40}$/, 'Give the serial number as 40 lower-case hex digits.');

/** A serial number as people paste it: any case, with or without colons. */
export const pastedSerial: Schema<string> = z
  .string()
  .max(80)
  .regex(/^[0-9A-Fa-f:]+$/, 'Give the serial number in hexadecimal, as the listings show it.');

/** SHA-256 in lower-case hex. */
export const sha256: Schema<string> = z
  .string()
  .length(64)
  .regex(/^[0-9a-f]{64}$/, 'Give 64 lower-case hex digits.');

export const spiffeId: Schema<string> = z
  .string()
  .max(2048)
  .regex(/^spiffe:\/\//, 'Give an id like spiffe://…');

/** RFC 3339 with any offset; answers have UTC and milliseconds. */
export const time: Schema<string> = z.iso.datetime({
  offset: true,
  message: 'Give a time like 2026-11-22T14:03:22.000Z (RFC 3339).',
});

/** Seconds, at most a leap year. */
export const lifetime: Schema<number> = z.int().min(1).max(31_622_400);

/** PEM or base64 of the DER. The longest, ML-DSA-87 with a full name, has about 12 000 characters. */
export const csr: Schema<string> = z.string().min(1).max(32_768);

export const pem: Schema<string> = z.string().min(1).max(65_536);

/** One line that a person wrote. */
export const line: Schema<string> = z.string().min(1).max(512);

export const dnsNames: Schema<readonly string[]> = schemaOf<readonly string[]>()(
  z.array(z.string().min(1).max(253)).max(100),
);

export const ipAddresses: Schema<readonly string[]> = schemaOf<readonly string[]>()(
  z.array(z.string().min(2).max(45)).max(100),
);

export const scopes: Schema<readonly string[]> = schemaOf<readonly string[]>()(
  z.array(z.string().min(1).max(255)).max(64),
);

export type Labels = Readonly<Record<string, string>>;

export const labels: Schema<Labels> = schemaOf<Labels>()(
  z
    .record(
      z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/, 'Name labels with letters, digits and ._/-'),
      z.string().max(255),
    )
    .refine((all) => Object.keys(all).length <= 32, 'Give at most 32 labels.')
    .meta({ maxProperties: 32 }),
);

/** A whole number that came as text, in a query or path. */
export function whole(least: number, most: number): Schema<number> {
  return z
    .string()
    .max(16)
    .regex(/^(0|[1-9][0-9]*)$/, 'Give a whole number.')
    .transform(Number)
    .pipe(z.int().min(least).max(most)) as unknown as Schema<number>;
}

/** `true` or `false` that came as text. */
export const flag: Schema<boolean> = z
  .enum(['true', 'false'])
  .transform((text) => text === 'true')
  .pipe(z.boolean()) as unknown as Schema<boolean>;
