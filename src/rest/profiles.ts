import type { Caller } from '../base/access.ts';
import type { StoredProfile } from '../ca/profile/store.ts';
import { byName } from '../wire/path.ts';
import type * as wire from '../wire/profile.ts';
import { profile, profileList, profileRules } from '../wire/profile.ts';
import { type Operation, operation, type WriteOptions } from './operation.ts';
import { timeText } from './render.ts';

/** What the routes under `/v1/profiles` need. Each asks policy. */
export interface Profiles {
  list(caller: Caller): Promise<readonly StoredProfile[]>;
  /** Throws `not_found`. */
  show(caller: Caller, name: string): Promise<StoredProfile>;
  /** Parses the profile strictly, and publishes it in place of the one by that name, if there is one. */
  publish(
    caller: Caller,
    profile: { readonly name: string } & wire.ProfileRules,
    options: WriteOptions,
  ): Promise<StoredProfile>;
}

export function profileOperations(profiles: Profiles): Operation[] {
  return [
    operation({
      id: 'listProfiles',
      method: 'GET',
      path: '/v1/profiles',
      access: 'caller',
      action: 'profile.read',
      summary: 'All certificate profiles in the order of their names.',
      answer: profileList,
      example: { answer: { items: [EXAMPLE] } },
      handle: async ({ caller }) => ({ items: (await profiles.list(caller)).map(profileAnswer) }),
    }),
    operation({
      id: 'getProfile',
      method: 'GET',
      path: '/v1/profiles/{name}',
      access: 'caller',
      action: 'profile.read',
      summary: 'One certificate profile.',
      params: byName,
      answer: profile,
      example: { answer: EXAMPLE },
      handle: async ({ caller, params: { name } }) => profileAnswer(await profiles.show(caller, name)),
    }),
    operation({
      id: 'publishProfile',
      method: 'PUT',
      path: '/v1/profiles/{name}',
      access: 'caller',
      action: 'profile.publish',
      summary: 'Makes a certificate profile, or replaces it whole. From then on nothing is issued under the old one.',
      params: byName,
      body: profileRules,
      answer: profile,
      example: { body: RULES, answer: EXAMPLE },
      handle: async ({ caller, params: { name }, body, idempotency }) =>
        profileAnswer(await profiles.publish(caller, { name, ...body }, { idempotency })),
    }),
  ];
}

function profileAnswer({ profile: rules, version, updatedAt }: StoredProfile): wire.Profile {
  return { ...rules, version, updated_at: timeText(updatedAt) };
}

const RULES: wire.ProfileRules = {
  subjects: ['agent'],
  keys: ['ec-p256', 'ed25519'],
  lifetime: { default: 3600, least: 300, most: 86_400 },
  dns: [],
  networks: [],
  context: true,
  revocation: 'revocable',
};

const EXAMPLE: wire.Profile = { name: 'agent', ...RULES, version: 1, updated_at: '2026-11-22T14:03:22.000Z' };
