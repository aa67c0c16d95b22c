import type { KeyObject } from 'node:crypto';
import { WritError } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import { type Keyring, sealKey, unsealKey } from './keyring.ts';
import type { Passphrase } from './passphrase.ts';
import { deriveKey, readDerivation, type SealedName, sameDerivation } from './sealed.ts';
import { readSecretFile, writeSecretFile } from './secret-file.ts';

/** Far above any key file, far below what could hurt. */
const LIMIT = 65_536;
const FORMAT = 'writ-sealed-key-v1';

/**
 * A private key in a file of its own, for a place apart from the machine: JSON with the name it is sealed under, so
 * that the file can be told from others, and the sealed octets. It opens with the passphrase that the keyring had on
 * the day, whatever became of the keyring since.
 */
interface KeyFile extends SealedName {
  readonly format: typeof FORMAT;
  readonly note: string;
  /** base64 */
  readonly sealed: string;
}

export interface KeyFileOptions {
  readonly name: SealedName;
  /** One sentence for whoever finds the file: whose key it is and what it is needed for. No secret. */
  readonly note: string;
  /** Names the setting in errors, e.g. `--root-key-out`. */
  readonly field: string;
  readonly random: Random;
}

/** Writes the file, owner-only, and answers when it is durable. Throws `conflict` when the path exists. */
export async function writeKeyFile(
  path: string,
  key: KeyObject,
  keyring: Keyring,
  options: KeyFileOptions,
): Promise<void> {
  const { name, note, field, random } = options;
  const sealed = Buffer.from(sealKey(keyring.kek, name, key, random)).toString('base64');
  const file: KeyFile = { format: FORMAT, note, purpose: name.purpose, id: name.id, sealed };
  await writeSecretFile(path, Buffer.from(`${JSON.stringify(file, null, 2)}\n`), field);
}

/**
 * Opens the key under `name`. A `keyring` whose passphrase is the one of the file saves a second derivation; otherwise
 * `passphrase` is tried. Throws `wrong_passphrase`, `unsafe_permissions`, or `bad_config` when it is no key file or
 * that of another key.
 */
export async function readKeyFile(
  path: string,
  open: { readonly name: SealedName; readonly keyring?: Keyring; readonly passphrase?: Passphrase },
  field: string,
): Promise<KeyObject> {
  const file = parseKeyFile(await readSecretFile(path, LIMIT, field), path, field);
  if (file.purpose !== open.name.purpose || file.id !== open.name.id) {
    throw new WritError('bad_config', `${path} holds the key of another authority.`, {
      field,
      remedy: 'Name the file that was written when this installation was made.',
    });
  }
  const sealed = Buffer.from(file.sealed, 'base64');
  const derivation = readDerivation(sealed);
  const keyring = open.keyring !== undefined && sameDerivation(open.keyring.kek.derivation, derivation);
  const kek = keyring
    ? open.keyring.kek
    : open.passphrase === undefined
      ? undefined
      : await deriveKey(open.passphrase, derivation);
  const key = kek === undefined ? undefined : unsealKey(kek, open.name, sealed);
  if (key !== undefined) return key;
  throw new WritError('wrong_passphrase', `The passphrase does not open ${path}.`, {
    field,
    remedy: 'Give the passphrase that the installation had on the day when the file was written.',
  });
}

function parseKeyFile(octets: Buffer, path: string, field: string): KeyFile {
  try {
    const file: unknown = JSON.parse(octets.toString());
    if (isKeyFile(file)) return file;
  } catch {
    // Says the same as a file of another shape; the parser's own message would quote the file.
  }
  throw new WritError('bad_config', `${path} is no key file of Writ.`, {
    field,
    remedy: 'Name the file that --root-key-out wrote.',
  });
}

function isKeyFile(value: unknown): value is KeyFile {
  if (typeof value !== 'object' || value === null) return false;
  const file = value as Record<string, unknown>;
  const fields = Object.keys(file).sort().join();
  return (
    fields === 'format,id,note,purpose,sealed' &&
    file['format'] === FORMAT &&
    Object.values(file).every((field) => typeof field === 'string') &&
    Buffer.from(file['sealed'] as string, 'base64').toString('base64') === file['sealed']
  );
}
