import { WritError } from '../../base/error.ts';
import type { Random } from '../../base/random.ts';
import type { Batch } from '../../db/batch.ts';
import type { Reader } from '../../db/database.ts';
import { readKeyFile, writeKeyFile } from '../../keys/key-file.ts';
import { type Keyring, openKey } from '../../keys/keyring.ts';
import { localSigner } from '../../keys/local.ts';
import type { Passphrase } from '../../keys/passphrase.ts';
import type { SealedName } from '../../keys/sealed.ts';
import type { Act } from '../act.ts';
import { AUTHORITY_KEY, type Authority, activeOf } from '../authority.ts';
import type { Hierarchy } from '../hierarchy.ts';
import { type Issuer, openIssuer } from '../issuer.ts';
import { pushAuthorityList } from './list.ts';
import { addRootKeyRemoval } from './store.ts';

/** Stands in the key file, for whoever finds it. */
export const ROOT_KEY_NOTE: string =
  'Root key of a Writ authority, sealed. Keep it apart from the machine, with the passphrase of the day it was written. ' +
  'It is needed once a year: see "writ ca due".';

/** What the key of a root is sealed to in its file. */
export function rootKeyName(authority: string): SealedName {
  return { id: authority, purpose: 'root' };
}

/**
 * Opens the root with the key in its file, for `pushAuthorityList` and `addIntermediate`. `passphrase` is the one of the day
 * when the file was written, needed only where the keyring's is another by now.
 *
 * Throws what `readKeyFile` throws, and `conflict` when the root's key is not in a file at all.
 */
export async function openOfflineRoot(
  hierarchy: Hierarchy,
  file: { readonly path: string; readonly keyring?: Keyring; readonly passphrase?: Passphrase },
): Promise<Issuer> {
  const root = requireRoot(hierarchy, 'offline');
  const { path, ...open } = file;
  const key = await readKeyFile(path, { name: rootKeyName(root.id), ...open }, '--root-key');
  return openIssuer(root, hierarchy.trustDomain, localSigner(key));
}

/**
 * Moves the key of an online root to a file: the file is durable first, then the batch signs a list good for a year and
 * takes the key out of the database. Backups that were made before still hold it, sealed.
 */
export async function moveRootKeyOut(
  batch: Batch,
  reader: Reader,
  hierarchy: Hierarchy,
  options: Act & { readonly path: string; readonly keyring: Keyring; readonly random: Random },
): Promise<void> {
  const { path, keyring, random } = options;
  const root = requireRoot(hierarchy, 'online');
  const key = await openKey(reader, keyring, { id: root.keyId ?? root.id, purpose: AUTHORITY_KEY });
  await pushAuthorityList(batch, hierarchy, openIssuer(root, hierarchy.trustDomain, localSigner(key)), options);
  addRootKeyRemoval(batch, keyring, root, options);
  await writeKeyFile(path, key, keyring, {
    name: rootKeyName(root.id),
    note: ROOT_KEY_NOTE,
    field: '--root-key-out',
    random,
  });
}

function requireRoot(hierarchy: Hierarchy, where: Hierarchy['root']): Authority {
  const root = activeOf(hierarchy.authorities, 'root');
  if (root !== undefined && hierarchy.root === where) return root;
  throw new WritError('conflict', `The root of this installation is not ${where}.`, {
    field: '--root-key',
    remedy:
      hierarchy.root === 'online'
        ? 'Its key is on this machine, and nothing needs to be brought.'
        : hierarchy.root === 'offline'
          ? 'Its key was written to a file already.'
          : 'It is somebody else’s: use "writ ca request" and "writ ca import".',
  });
}
