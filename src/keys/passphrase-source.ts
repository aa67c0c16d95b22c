import { constants, fstatSync, read } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { promisify } from 'node:util';
import { isWritError, WritError } from '../base/error.ts';
import { LONGEST_PASSPHRASE, type Passphrase, parsePassphrase } from './passphrase.ts';
import { readAtMost, readSecretFile } from './secret-file.ts';

/**
 * Where the passphrase comes from. Never an argument: arguments are visible to every user of a machine.
 */
export type PassphraseSource =
  /** An owner-only file. */
  | { readonly kind: 'file'; readonly path: string }
  /** An open descriptor, 3 or above, as a shell or supervisor hands it over: `--passphrase-fd 3 3<secret`. */
  | { readonly kind: 'descriptor'; readonly descriptor: number }
  /** A variable of the environment; it is taken out of the environment, so that no child process inherits it. */
  | { readonly kind: 'environment'; readonly variable: string }
  /** A credential of systemd (`LoadCredential=`, `LoadCredentialEncrypted=`) by its name. */
  | { readonly kind: 'credential'; readonly name: string };

/** Two line-end octets more than a passphrase can have. */
const LIMIT = LONGEST_PASSPHRASE + 2;

/**
 * Fetches the passphrase. `environment` is that of the process, and loses the variable that held a passphrase.
 *
 * Throws `bad_config` or `not_found` naming the source when there is none to be had, `unsafe_permissions` when others
 * can read the file.
 */
export async function readPassphrase(
  source: PassphraseSource,
  environment: Record<string, string | undefined>,
): Promise<Passphrase> {
  switch (source.kind) {
    case 'file':
      return take(await readSecretFile(source.path, LIMIT, '--passphrase-file'), '--passphrase-file');
    case 'descriptor':
      return take(await readDescriptor(source.descriptor), '--passphrase-fd');
    case 'environment':
      return fromEnvironment(source.variable, environment);
    case 'credential':
      return take(await readCredential(source.name, environment), '--passphrase-credential');
  }
}

function take(octets: Buffer, field: string): Passphrase {
  try {
    return parsePassphrase(octets, field);
  } finally {
    octets.fill(0);
  }
}

function fromEnvironment(variable: string, environment: Record<string, string | undefined>): Passphrase {
  const text = environment[variable];
  if (text === undefined) {
    throw new WritError('not_found', `The environment variable ${variable} is not set.`, { field: variable });
  }
  delete environment[variable];
  return take(Buffer.from(text), variable);
}

/**
 * By way of /dev/fd, so that the descriptor stays its owner's to close and a pipe reads like a file. Where whoever opened
 * it may read what this user may not, as root does for a service, it is read itself.
 */
async function readDescriptor(descriptor: number): Promise<Buffer> {
  const field = '--passphrase-fd';
  if (!Number.isInteger(descriptor) || descriptor < 3 || descriptor > 1023) {
    throw new WritError('bad_config', 'The descriptor of the passphrase is not a number from 3 to 1023.', {
      field,
      remedy: 'Use e.g. --passphrase-fd 3 3<passphrase-file',
    });
  }
  const path = `/dev/fd/${descriptor}`;
  const absent = (cause: unknown): WritError =>
    new WritError('not_found', `Descriptor ${descriptor} is not open for reading.`, { field, cause });
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EACCES') throw absent(cause);
    return await readAtMost(itself(descriptor), LIMIT, path, field).catch((error: unknown) => {
      throw isWritError(error) ? error : absent(error);
    });
  }
  try {
    return await readAtMost(file, LIMIT, path, field);
  } finally {
    await file.close();
  }
}

/** A descriptor as something to read; a file from its beginning, each time. */
function itself(descriptor: number): Parameters<typeof readAtMost>[0] {
  const whole = fstatSync(descriptor).isFile();
  let position = 0;
  return {
    async read(buffer, offset, length) {
      const { bytesRead } = await promisify(read)(descriptor, buffer, offset, length, whole ? position : null);
      position += bytesRead;
      return { bytesRead };
    },
  };
}

/**
 * systemd owns the directory and its modes: it is on a file system of the service alone, and files may show group bits
 * that are only the mask of an access list. So no mode is demanded here, but the directory must be absolute and the
 * name a plain one.
 */
async function readCredential(
  name: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Buffer> {
  const field = '--passphrase-credential';
  const directory = environment['CREDENTIALS_DIRECTORY'];
  if (directory === undefined || !isAbsolute(directory)) {
    throw new WritError('not_found', 'No systemd credentials were passed: CREDENTIALS_DIRECTORY is not set.', {
      field,
      remedy: `Add LoadCredential=${name}:/path/to/passphrase to the unit.`,
    });
  }
  if (!/^[A-Za-z0-9_.-]{1,255}$/.test(name) || /^\.+$/.test(name)) {
    throw new WritError('bad_config', 'The name of the credential is not a plain file name.', { field });
  }
  const file = await open(join(directory, name), constants.O_RDONLY).catch((cause: unknown) => {
    throw new WritError('not_found', `The systemd credential ${name} cannot be read.`, { field, cause });
  });
  try {
    return await readAtMost(file, LIMIT, name, field);
  } finally {
    await file.close();
  }
}
