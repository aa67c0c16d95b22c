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
