import * as z from 'zod';
import { type Schema, schemaOf } from './schema.ts';
import { id, line, pem, serial, sha256, time } from './text.ts';

/** An authority of the hierarchy. */
export interface Authority {
  readonly id: string;
  readonly kind: 'root' | 'upstream' | 'intermediate' | 'issuing';
  readonly state: 'next' | 'active' | 'retired';
  /** The authority above it; absent for the root. */
  readonly issuer?: string;
  readonly algorithm: string;
  readonly serial: string;
  /** SHA-256 of the certificate. */
  readonly fingerprint: string;
  /** Whether its key is on this installation. */
  readonly key: 'present' | 'elsewhere';
  readonly not_before: string;
  readonly not_after: string;
  readonly certificate: string;
}

export const authority: Schema<Authority> = schemaOf<Authority>()(
  z.strictObject({
    id,
    kind: z.enum(['root', 'upstream', 'intermediate', 'issuing']),
    state: z.enum(['next', 'active', 'retired']),
    issuer: id.exactOptional(),
    algorithm: z.string().max(64),
    // Authorities of somebody else number their certificates as they like.
    serial: z.union([serial, z.string().regex(/^[0-9a-f]{2,40}$/)]),
    fingerprint: sha256,
    key: z.enum(['present', 'elsewhere']),
    not_before: time,
    not_after: time,
    certificate: pem,
  }),
);

/** Something that a person has to do, and by when. */
export interface Due {
  readonly what: string;
  readonly by: string;
  readonly overdue: boolean;
  /** What is needed, and what happens without it. */
  readonly message: string;
  /** The command to run. */
  readonly command: string;
}

export interface AuthorityList {
  readonly items: readonly Authority[];
  readonly due: readonly Due[];
}

export const authorityList: Schema<AuthorityList> = schemaOf<AuthorityList>()(
  z.strictObject({
    items: z.array(authority).max(1000),
    due: z
      .array(z.strictObject({ what: z.string().max(64), by: time, overdue: z.boolean(), message: line, command: line }))
      .max(100),
  }),
);

/** Asks for a new issuing authority, now. */
export type RotateAuthority = Readonly<Record<never, never>>;

export const rotateAuthority: Schema<RotateAuthority> = z.strictObject({}) as unknown as Schema<RotateAuthority>;
