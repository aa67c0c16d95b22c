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

export interface DomainAuthority {
  readonly id: string;
  readonly kind: 'root' | 'intermediate' | 'subordinate';
  readonly certificate: string;
  readonly not_after: string;
  readonly created_at: string;
  readonly created_by: string;
}

const authority = {
  id,
  kind: z.enum(['root', 'intermediate', 'subordinate']),
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
  /** Root and signing authority, and the subordinate ones that have not expired. */
  readonly authorities: readonly DomainAuthority[];
}

const members = {
  trust_domain: trustDomain,
  state: z.enum(['active', 'closed']),
  profile,
  created_at: time,
  created_by: z.string().max(2048),
  authorities: z.array(z.strictObject(authority)).max(1002),
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

export const signedDomainAuthority: Schema<SignedDomainAuthority> = schemaOf<SignedDomainAuthority>()(
  z.strictObject({ ...authority, chain: z.array(pem).max(4), root: pem }),
);
