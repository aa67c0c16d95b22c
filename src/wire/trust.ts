import * as z from 'zod';
import { type Schema, schemaOf } from './schema.ts';
import { pem, sha256, time } from './text.ts';

/** What a relying party needs to know of this trust domain. */
export interface Trust {
  readonly trust_domain: string;
  /** The roots in use, that which join tokens pin first. */
  readonly roots: readonly { readonly fingerprint: string; readonly certificate: string; readonly not_after: string }[];
}

export const trust: Schema<Trust> = schemaOf<Trust>()(
  z.strictObject({
    trust_domain: z.string().max(255),
    roots: z.array(z.strictObject({ fingerprint: sha256, certificate: pem, not_after: time })).max(8),
  }),
);

/** SPIFFE Trust Domain and Bundle §4: a JWK set. */
export interface SpiffeBundle {
  /** Grows with every change of the keys. */
  readonly spiffe_sequence: number;
  /** Seconds after which to look again. */
  readonly spiffe_refresh_hint: number;
  readonly keys: readonly Readonly<Record<string, unknown>>[];
}

export const spiffeBundle: Schema<SpiffeBundle> = schemaOf<SpiffeBundle>()(
  z.strictObject({
    spiffe_sequence: z.int().min(0),
    spiffe_refresh_hint: z.int().min(1),
    keys: z.array(z.record(z.string(), z.unknown())).max(16),
  }),
);
