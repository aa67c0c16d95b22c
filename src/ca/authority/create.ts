import type { Random } from '../../base/random.ts';
import type { Batch } from '../../db/batch.ts';
import type { KeyAlgorithm } from '../../keys/generate.ts';
import { writeKeyFile } from '../../keys/key-file.ts';
import { addKey, type Keyring } from '../../keys/keyring.ts';
import { encodeNameConstraints } from '../../x509/extensions/name-constraints.ts';
import type { Act } from '../act.ts';
import { AUTHORITY_KEY, type Authority } from '../authority.ts';
import { nextCrlNumber, signCrl } from '../crl/sign.ts';
import type { Hierarchy } from '../hierarchy.ts';
import { LIFETIMES } from '../lifetime.ts';
import type { Profile } from '../profile/profile.ts';
import { addProfile } from '../profile/store.ts';
import { requestIntermediate } from './external-root.ts';
import { issuingLifetime } from './issuing-lifetime.ts';
import { type MadeAuthority, makeAuthority, requireValidPath } from './make.ts';
import { type NameScope, nameConstraintsFor } from './name-constraints.ts';
import { ROOT_KEY_NOTE, rootKeyName } from './offline-root.ts';
import { addAuthority, addCrl, addHierarchy } from './store.ts';

export interface CreateOptions extends Act {
  readonly scope: NameScope;
  readonly algorithm: KeyAlgorithm;
  readonly profiles: readonly Profile[];
  readonly keyring: Keyring;
  /** Path of a file that does not exist yet: the root's key goes there and never into the database. */
  readonly rootKeyOut?: string;
  readonly random: Random;
  /** Where the lists of authorities are served (`STATUS_PATHS`). */
  readonly statusUrl?: string;
}

/** The first authorities of an installation: root, intermediate and issuing, all active. */
export interface Created {
  readonly root: Authority;
  readonly intermediate: Authority;
  readonly issuing: Authority;
}

/**
 * Makes the hierarchy of a new installation and pushes it whole: keys, authorities, profiles, and the first list of root
 * and intermediate, the root's good for a year. With `rootKeyOut` the key file is durable before this resolves, so that
 * no crash leaves a root without its key.
 *
 * Throws `bad_spiffe_id` or `bad_config` for a trust domain or names that authorities cannot be confined to, `conflict`
 * when the key file exists.
 */
export async function createHierarchy(batch: Batch, options: CreateOptions): Promise<Created> {
  const { scope, algorithm, now, random, rootKeyOut, statusUrl } = options;
  const frame: Omit<Hierarchy, 'authorities' | 'crls'> = {
    trustDomain: scope.trustDomain,
    algorithm,
    root: rootKeyOut === undefined ? 'online' : 'offline',
    nameConstraints: encodeNameConstraints(nameConstraintsFor(scope)),
  };
  const make = { state: 'active', now, random, ...(statusUrl === undefined ? {} : { statusUrl }) } as const;
  const root = await makeAuthority(frame, { ...make, kind: 'root', lifetime: LIFETIMES.root });
  const intermediate = await makeAuthority(frame, {
    ...make,
    kind: 'intermediate',
    above: root.issuer,
    lifetime: LIFETIMES.intermediate,
  });
  const issuing = await makeAuthority(frame, {
    ...make,
    kind: 'issuing',
    above: intermediate.issuer,
    lifetime: issuingLifetime(options.profiles),
  });
  requireValidPath(issuing.authority, [intermediate.authority, root.authority], now);

  addHierarchy(batch, frame, options);
  const rootAuthority = await keepRoot(batch, root, options);
  for (const { authority, key } of [intermediate, issuing]) {
    addKey(batch, options.keyring, { id: authority.id, purpose: AUTHORITY_KEY, key, now, random });
  }
  const authorities = [rootAuthority, intermediate.authority, issuing.authority] as const;
  for (const authority of authorities) addAuthority(batch, authority, options);
  for (const [{ issuer }, lifetime] of [
    [root, LIFETIMES.rootCrl],
    [intermediate, LIFETIMES.intermediateCrl],
  ] as const) {
    const crl = await signCrl(issuer, { number: nextCrlNumber(undefined, now), lifetime, revoked: [], now });
    addCrl(batch, issuer.id, crl, options);
  }
  for (const profile of options.profiles) addProfile(batch, profile, undefined, options);
  return { root: authorities[0], intermediate: authorities[1], issuing: authorities[2] };
}

/**
 * Makes an installation below somebody else's root: pushes what `createHierarchy` does, but for the authorities, and the
 * key of the intermediate. Gives the request (DER) that the owner of that root is to sign; `importIntermediate` takes the
 * answer. Until then there is nothing to issue with.
 */
export async function createBelowExternalRoot(
  batch: Batch,
  options: Omit<CreateOptions, 'rootKeyOut'>,
): Promise<Uint8Array> {
  const { scope, algorithm } = options;
  const nameConstraints = encodeNameConstraints(nameConstraintsFor(scope));
  const frame = { trustDomain: scope.trustDomain, algorithm, root: 'external', nameConstraints } as const;
  addHierarchy(batch, frame, options);
  for (const profile of options.profiles) addProfile(batch, profile, undefined, options);
  return requestIntermediate(batch, frame, options);
}

/** Seals the root's key in the database, or writes it to its file. Gives the authority as it is to be recorded. */
async function keepRoot(batch: Batch, root: MadeAuthority, options: CreateOptions): Promise<Authority> {
  const { keyring, now, random, rootKeyOut } = options;
  const { keyId: _, ...offline } = root.authority;
  if (rootKeyOut === undefined) {
    addKey(batch, keyring, { id: root.authority.id, purpose: AUTHORITY_KEY, key: root.key, now, random });
    return root.authority;
  }
  await writeKeyFile(rootKeyOut, root.key, keyring, {
    name: rootKeyName(root.authority.id),
    note: ROOT_KEY_NOTE,
    field: '--root-key-out',
    random,
  });
  return offline;
}
