import * as z from 'zod';
import { trustDomain } from './federation.ts';
import { type Schema, schemaOf } from './schema.ts';
import { csr, id, pem, time } from './text.ts';

/** What subordinate authorities of a further trust domain may be. */
interface SubordinateProfile {
  readonly most_seconds: number;
  readonly keys: readonly string[];
  readonly most: number;
}

const profile = z.strictObject({
  most_seconds: z.int().min(300).max(7_776_000),
  keys: z.array(z.string().min(1).max(16)).min(1).max(8),
  most: z.int().min(1).max(1000),
});

/** Makes a further trust domain, and agrees to its profile. */
export interface CreateDomain {
  readonly trust_domain: string;
  readonly profile: SubordinateProfile;
}

export const createDomain: Schema<CreateDomain> = schemaOf<CreateDomain>()(
  z.strictObject({ trust_domain: trustDomain, profile }),
);

/** Asks for a subordinate authority. */
export interface SignDomain {
  readonly csr: string;
  readonly lifetime_seconds?: number;
}

export const signDomain: Schema<SignDomain> = schemaOf<SignDomain>()(
  z.strictObject({
    csr: csr.describe('PEM, or base64 of the DER.'),
    lifetime_seconds: z.int().min(60).max(7_776_000).exactOptional(),
  }),
);

export const byAuthority: Schema<{ readonly trust_domain: string; readonly authority: string }> = schemaOf<{
  readonly trust_domain: string;
  readonly authority: string;
}>()(z.strictObject({ trust_domain: trustDomain, authority: id }));

/** Has another authority follow. */
export interface RotateDomain {
  readonly what: 'signing' | 'root' | 'root_at_once';
}

export const rotateDomain: Schema<RotateDomain> = schemaOf<RotateDomain>()(
  z.strictObject({ what: z.enum(['signing', 'root', 'root_at_once']) }),
);

/** Why an authority is revoked: cause, reason or both. */
export interface RevokeDomainAuthority {
  readonly cause?: string;
  readonly reason?: string;
}

export const revokeDomainAuthority: Schema<RevokeDomainAuthority> = schemaOf<RevokeDomainAuthority>()(
  z.strictObject({ cause: z.string().max(64).exactOptional(), reason: z.string().max(64).exactOptional() }),
);

export interface DomainAuthority {
  readonly id: string;
  readonly kind: 'root' | 'intermediate' | 'subordinate';
  readonly state: 'next' | 'active' | 'retired' | 'ended';
  /** When a root takes over that is published already. */
  readonly signs_from?: string;
  readonly revoked?: { readonly at: string; readonly cause: string };
  readonly certificate: string;
  readonly not_after: string;
  readonly created_at: string;
  readonly created_by: string;
}

const authority = {
  id,
  kind: z.enum(['root', 'intermediate', 'subordinate']),
  state: z.enum(['next', 'active', 'retired', 'ended']),
  signs_from: time.exactOptional(),
  revoked: z.strictObject({ at: time, cause: z.string().max(64) }).exactOptional(),
  certificate: pem,
  not_after: time,
  created_at: time,
  created_by: z.string().max(2048),
};

/** A further trust domain whose root lies here. */
export interface Domain {
  readonly trust_domain: string;
  readonly state: 'active' | 'closed';
  readonly profile: SubordinateProfile;
  readonly created_at: string;
  readonly created_by: string;
  /** `spiffe_sequence` of its bundle. */
  readonly sequence: number;
  /** Those that have not expired, but for what was ended without being revoked. */
  readonly authorities: readonly DomainAuthority[];
}

const members = {
  trust_domain: trustDomain,
  state: z.enum(['active', 'closed']),
  profile,
  sequence: z.int(),
  created_at: time,
  created_by: z.string().max(2048),
  authorities: z.array(z.strictObject(authority)).max(10_000),
};

export const domain: Schema<Domain> = schemaOf<Domain>()(z.strictObject(members));

export interface DomainList {
  readonly items: readonly Domain[];
}

export const domainList: Schema<DomainList> = schemaOf<DomainList>()(
  z.strictObject({ items: z.array(z.strictObject(members)).max(1000) }),
);

/** A subordinate authority that was signed, and what is sent after its own certificate. */
export interface SignedDomainAuthority extends DomainAuthority {
  /** The authority that signed it; without the root. */
  readonly chain: readonly string[];
  readonly root: string;
}

export const domainAuthority: Schema<DomainAuthority> = schemaOf<DomainAuthority>()(z.strictObject(authority));

export const signedDomainAuthority: Schema<SignedDomainAuthority> = schemaOf<SignedDomainAuthority>()(
  z.strictObject({ ...authority, chain: z.array(pem).max(4), root: pem }),
);
