import { rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isWritError } from '../base/error.ts';
import type { Passphrase } from './passphrase.ts';
import { readPassphrase } from './passphrase-source.ts';
import { syncDirectory, writeSecretFile } from './secret-file.ts';

/**
 * The file in which Writ keeps a passphrase that it made itself. A change of passphrase touches file and database, and
 * no single write covers both. So the new passphrase is first staged beside the old one, then the database changes,
 * then the staged file takes the place of the old; a start after a crash in between finds both and learns by trying
 * which one the database wants.
 */
const STAGED = '.new';

/** Writes the file of a passphrase that was just made. Throws `conflict` when there is one. */
export async function keepPassphrase(path: string, passphrase: Passphrase): Promise<void> {
  const octets = line(passphrase);
  try {
    await writeSecretFile(path, octets, '--passphrase-file');
  } finally {
    octets.fill(0);
  }
}

/** Before the database changes: puts the new passphrase beside the old one, in place of one staged in vain. */
export async function stagePassphrase(path: string, passphrase: Passphrase): Promise<void> {
  await rm(path + STAGED, { force: true });
  await keepPassphrase(path + STAGED, passphrase);
}

/** After the database has changed: the staged passphrase becomes the one. A running server may have been quicker. */
export async function promotePassphrase(path: string): Promise<void> {
  await rename(path + STAGED, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  await syncDirectory(dirname(path));
}

/**
 * Calls `open` with the passphrase of the file and, should that be the wrong one, with the one that a change left
 * staged; the one that opens stays as the file. Whatever else `open` throws, it throws.
 */
export async function openWithFile<T>(path: string, open: (passphrase: Passphrase) => Promise<T>): Promise<T> {
  try {
    return await open(await readPassphrase({ kind: 'file', path }, {}));
  } catch (error) {
    if (!isWritError(error, 'wrong_passphrase')) throw error;
    const staged = await readPassphrase({ kind: 'file', path: path + STAGED }, {}).catch(() => undefined);
    if (staged === undefined) throw error;
    const opened = await open(staged);
    await promotePassphrase(path);
    return opened;
  }
}

function line(passphrase: Passphrase): Buffer {
  const revealed = passphrase.reveal();
  const octets = Buffer.concat([revealed, Buffer.from('\n')]);
  revealed.fill(0);
  return octets;
}
