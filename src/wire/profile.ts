import * as z from 'zod';
import { type Schema, schemaOf } from './schema.ts';
import { dnsNames, lifetime, name, time } from './text.ts';

/** What the certificates of a kind may look like. */
export interface ProfileRules {
  /** Whose certificates may follow it: agent, service, operator, server. */
  readonly subjects: readonly string[];
  /** Kinds of key, e.g. `ec-p256`. */
  readonly keys: readonly string[];
  /** Seconds. */
  readonly lifetime: { readonly default: number; readonly least: number; readonly most: number };
  /** A DNS name is allowed when it is one of these or below one. */
  readonly dns: readonly string[];
  /** An IP address is allowed when it lies in one of these networks. */
  readonly networks: readonly string[];
  /** Whether workflow and scopes go into the certificate. */
  readonly context: boolean;
  readonly revocation: string;
}

const rules = {
  subjects: z.array(z.string().min(1).max(32)).min(1).max(8),
  keys: z.array(z.string().min(1).max(32)).min(1).max(16),
  lifetime: z.strictObject({ default: lifetime, least: lifetime, most: lifetime }).describe('Seconds.'),
  dns: dnsNames,
  networks: z.array(z.string().min(2).max(49)).max(100),
  context: z.boolean(),
  revocation: z.string().min(1).max(32),
};

/** Publishes a profile under the name that the path gives. */
export const profileRules: Schema<ProfileRules> = schemaOf<ProfileRules>()(z.strictObject(rules));

export interface Profile extends ProfileRules {
  readonly name: string;
  /** From 1, one more with each change. */
  readonly version: number;
  readonly updated_at: string;
}

export const profile: Schema<Profile> = schemaOf<Profile>()(
  z.strictObject({ name, ...rules, version: z.int().min(1), updated_at: time }),
);

export interface ProfileList {
  readonly items: readonly Profile[];
}

export const profileList: Schema<ProfileList> = schemaOf<ProfileList>()(
  z.strictObject({ items: z.array(profile).max(1000) }),
);
