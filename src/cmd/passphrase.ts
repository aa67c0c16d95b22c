import { existsSync } from 'node:fs';
import { WritError } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import type { Flag, Input } from '../cli/command.ts';
import { makePassphrase, type Passphrase } from '../keys/passphrase.ts';
import { keepPassphrase, openWithFile } from '../keys/passphrase-file.ts';
import { type PassphraseSource, readPassphrase } from '../keys/passphrase-source.ts';
import type { DataDirectory } from './data-directory.ts';

/** Flags of every command that opens the sealed keys. At most one may be given. */
export const PASSPHRASE_FLAGS: readonly Flag[] = [
  {
    name: 'passphrase-file',
    value: 'file',
    summary: 'owner-only file with the passphrase; otherwise the one beside the data directory',
    environment: 'WRIT_PASSPHRASE_FILE',
  },
  { name: 'passphrase-fd', value: 'number', summary: 'open descriptor with the passphrase, e.g. 3' },
  { name: 'passphrase-env', value: 'variable', summary: 'environment variable with the passphrase' },
  { name: 'passphrase-credential', value: 'name', summary: 'systemd credential with the passphrase' },
];

/** Where the passphrase comes from: what a flag names, else the file that the first start made. */
export function passphraseSource(input: Input, directory: DataDirectory): PassphraseSource {
  const [file, descriptor, variable, credential] = ['file', 'fd', 'env', 'credential'].map((name) =>
    input.flag(`passphrase-${name}`),
  );
  if ([file, descriptor, variable, credential].filter((value) => value !== undefined).length > 1) {
    throw new WritError('bad_request', 'The passphrase is named more than once', {
      field: '--passphrase-file',
      remedy: 'Give one of --passphrase-file, --passphrase-fd, --passphrase-env and --passphrase-credential.',
    });
  }
  if (descriptor !== undefined) return { kind: 'descriptor', descriptor: Number(descriptor) };
  if (variable !== undefined) return { kind: 'environment', variable };
  if (credential !== undefined) return { kind: 'credential', name: credential };
  return { kind: 'file', path: file ?? directory.passphrase };
}

/**
 * Calls `open` with the passphrase, and with the one that an interrupted change left staged when it comes from a file
 * and is the wrong one.
 */
export async function withPassphrase<T>(
  source: PassphraseSource,
  open: (passphrase: Passphrase) => Promise<T>,
): Promise<T> {
  if (source.kind === 'file' && !existsSync(source.path)) {
    throw new WritError('not_found', 'The passphrase of this installation is not on this machine', {
      field: '--passphrase-file',
      remedy: `Bring it from where it is kept to ${source.path}, owner-only, or name another source.`,
    });
  }
  return source.kind === 'file' ? openWithFile(source.path, open) : open(await readPassphrase(source, process.env));
}

/** For `init`: the passphrase that is there, or one made now and kept in its file. `made` says which. */
export async function obtainPassphrase(
  source: PassphraseSource,
  random: Random,
): Promise<{ readonly passphrase: Passphrase; readonly made: boolean }> {
  if (source.kind !== 'file' || existsSync(source.path)) {
    return { passphrase: await readPassphrase(source, process.env), made: false };
  }
  const passphrase = makePassphrase(random);
  await keepPassphrase(source.path, passphrase);
  return { passphrase, made: true };
}
