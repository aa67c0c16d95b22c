import * as z from 'zod';
import { type Schema, schemaOf } from './schema.ts';
import { dnsNames, lifetime, name } from './text.ts';

/** What the certificates of a kind may look like. */
export interface Profile {
  readonly name: string;
  readonly keys: readonly string[];
  readonly lifetime_seconds: { readonly default: number; readonly least: number; readonly most: number };
  /** A DNS name is allowed when it is one of these or below one. */
  readonly dns: readonly string[];
  /** An IP address is allowed when it lies in one of these networks. */
  readonly networks: readonly string[];
  /** Whether workflow and scopes go into the certificate. */
  readonly context: boolean;
  readonly revocation: string;
}

const members = {
  name,
  keys: z.array(z.string().min(1).max(32)).min(1).max(16),
  lifetime_seconds: z.strictObject({ default: lifetime, least: lifetime, most: lifetime }),
  dns: dnsNames,
  networks: z.array(z.string().min(2).max(49)).max(100),
  context: z.boolean(),
  revocation: z.string().min(1).max(32),
};

export const profile: Schema<Profile> = schemaOf<Profile>()(z.strictObject(members));

/** Publishes a profile under the name that the path gives. */
export type PublishProfile = Omit<Profile, 'name'>;

const { name: _, ...published } = members;

export const publishProfile: Schema<PublishProfile> = schemaOf<PublishProfile>()(z.strictObject(published));

export interface ProfileList {
  readonly items: readonly Profile[];
}

export const profileList: Schema<ProfileList> = schemaOf<ProfileList>()(
  z.strictObject({ items: z.array(profile).max(1000) }),
);
