import * as z from 'zod';
import { type Schema, schemaOf } from './schema.ts';
import { sha256, spiffeId, time } from './text.ts';

/** SPIFFE-ID §2.1. */
export const trustDomain: Schema<string> = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[a-z0-9._-]+$/, 'Give a name of lower-case letters, digits, dots, dashes and underscores.');

export const byTrustDomain: Schema<{ readonly trust_domain: string }> = schemaOf<{ readonly trust_domain: string }>()(
  z.strictObject({ trust_domain: trustDomain }),
);

/** A SPIFFE bundle, as its file has it. */
const bundle: Schema<string> = z.string().min(2).max(262_144);

/** Has SVIDs of another trust domain believed. */
export interface AddFederation {
  readonly trust_domain: string;
  readonly url: string;
  readonly profile: 'https_web' | 'https_spiffe';
  /** Of the endpoint's server, with `https_spiffe`. */
  readonly endpoint_id?: string;
  readonly bundle?: string;
}

export const addFederation: Schema<AddFederation> = schemaOf<AddFederation>()(
  z.strictObject({
    trust_domain: trustDomain,
    url: z.string().min(1).max(2048),
    profile: z.enum(['https_web', 'https_spiffe']),
    endpoint_id: spiffeId.exactOptional(),
    bundle: bundle.exactOptional(),
  }),
);

export interface ReplaceBundle {
  readonly bundle: string;
}

export const replaceBundle: Schema<ReplaceBundle> = schemaOf<ReplaceBundle>()(z.strictObject({ bundle }));

export interface Federation {
  readonly trust_domain: string;
  readonly url: string;
  readonly profile: 'https_web' | 'https_spiffe';
  readonly endpoint_id?: string;
  /**
   * `waiting`: there is no bundle yet; `refused`: the latest is not believed; `failing`: none could be fetched the last time;
   * `stale`: none was for a day. The one before counts.
   */
  readonly status: 'good' | 'waiting' | 'refused' | 'failing' | 'stale';
  readonly fault?: string;
  readonly sequence?: number;
  readonly refresh_hint?: number;
  /** SHA-256 of each X.509 authority, and the names of the keys of JWT-SVIDs. */
  readonly roots: readonly string[];
  readonly jwt_keys: readonly string[];
  readonly source?: 'fetched' | 'given';
  readonly bundle_at?: string;
  readonly good_at?: string;
  readonly tried_at?: string;
  readonly next_poll_at: string;
  readonly created_at: string;
  readonly created_by: string;
}

export const federation: Schema<Federation> = schemaOf<Federation>()(
  z.strictObject({
    trust_domain: trustDomain,
    url: z.string().max(2048),
    profile: z.enum(['https_web', 'https_spiffe']),
    endpoint_id: spiffeId.exactOptional(),
    status: z.enum(['good', 'waiting', 'refused', 'failing', 'stale']),
    fault: z.string().max(64).exactOptional(),
    sequence: z.int().min(0).exactOptional(),
    refresh_hint: z.int().min(0).exactOptional(),
    roots: z.array(sha256).max(64),
    jwt_keys: z.array(z.string().max(256)).max(64),
    source: z.enum(['fetched', 'given']).exactOptional(),
    bundle_at: time.exactOptional(),
    good_at: time.exactOptional(),
    tried_at: time.exactOptional(),
    next_poll_at: time,
    created_at: time,
    created_by: z.string().max(2048),
  }),
);

/** All there are: at most 500. */
export interface FederationList {
  readonly items: readonly Federation[];
}

export const federationList: Schema<FederationList> = schemaOf<FederationList>()(
  z.strictObject({ items: z.array(federation).max(500) }),
);

/** A key of a SPIFFE bundle (X.509-SVID §6, JWT-SVID §6). */
export interface BundleKey {
  readonly kty: string;
  readonly use: 'x509-svid' | 'jwt-svid';
  readonly kid?: string;
  readonly alg?: string;
  readonly crv?: string;
  readonly x?: string;
  readonly y?: string;
  readonly n?: string;
  readonly e?: string;
  /** Base64 of the DER of one authority. */
  readonly x5c?: readonly string[];
}

/** A SPIFFE bundle of another trust domain. */
export interface FederatedBundle {
  readonly spiffe_sequence?: number;
  readonly keys: readonly BundleKey[];
}

const member = z.string().max(4096).exactOptional();

const bundleKey = z.strictObject({
  kty: z.string().max(64),
  use: z.enum(['x509-svid', 'jwt-svid']),
  kid: member,
  alg: member,
  crv: member,
  x: member,
  y: member,
  n: member,
  e: member,
  x5c: z.array(z.string().max(262_144)).max(1).exactOptional(),
});

/** A SPIFFE Bundle Map (SPIFFE Trust Domain and Bundle §5): each bundle speaks for its own trust domain alone. */
export interface FederatedBundles {
  readonly trust_domains: Readonly<Record<string, FederatedBundle>>;
}

export const federatedBundles: Schema<FederatedBundles> = schemaOf<FederatedBundles>()(
  z.strictObject({
    trust_domains: z.record(
      trustDomain as z.ZodType<string, string>,
      z.strictObject({
        spiffe_sequence: z.int().min(0).exactOptional(),
        keys: z.array(bundleKey).max(64),
      }),
    ),
  }),
);
