import { randomUUID } from 'node:crypto';
import { constants, existsSync, type Stats } from 'node:fs';
import { type FileHandle, link, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { WritError } from '../base/error.ts';

/**
 * Reads a secret file of at most `limit` octets. Throws `unsafe_permissions` when anybody but its owner can read or
 * write it, or its owner is neither this user nor root; `not_found` when it is absent; `bad_config` when it is no
 * plain file or too long. `field` names the setting that led here.
 */
export async function readSecretFile(path: string, limit: number, field: string): Promise<Buffer> {
  const file = await openFile(path, constants.O_RDONLY, field);
  try {
    // Of the open file, so that nobody can put another in its place between the look and the reading.
    const found = await file.stat();
    if (!found.isFile()) {
      throw new WritError('bad_config', `${path} is not a plain file.`, { field, remedy: 'Name a plain file.' });
    }
    requireOwnerOnly(path, found, field);
    return await readAtMost(file, limit, path, field);
  } finally {
    await file.close();
  }
}

/**
 * Writes a new secret file, mode 0600, and answers when it is durable. Throws `conflict` when the path exists: a secret
 * is never overwritten. However this process ends, the path never stands for half of it.
 */
export async function writeSecretFile(path: string, secret: Uint8Array, field: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  const file = await openFile(aside, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, field, path);
  try {
    try {
      // Also where the umask would leave less.
      await file.chmod(0o600);
      await file.writeFile(secret);
      await file.sync();
    } finally {
      await file.close();
    }
    await putInPlace(aside, path, field);
  } finally {
    await rm(aside, { force: true });
  }
  await syncDirectory(dirname(path));
}

/** File systems of memory sticks know no second name for a file. */
const NO_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/** Gives the file its name, where nothing has that name yet. */
async function putInPlace(aside: string, path: string, field: string): Promise<void> {
  try {
    await link(aside, path);
  } catch (cause) {
    const { code = '' } = cause as NodeJS.ErrnoException;
    if (code === 'EEXIST' || existsSync(path)) throw taken(path, field, cause);
    if (!NO_LINKS.has(code)) throw cause;
    await rename(aside, path);
  }
}

/** Makes creation, renaming and removal of entries of a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const directory = await open(path, constants.O_RDONLY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Windows keeps no such modes; there the folder of the user profile is what protects. */
function requireOwnerOnly(path: string, found: Stats, field: string): void {
  if (process.platform === 'win32') return;
  const user = process.geteuid?.();
  if (found.uid !== 0 && found.uid !== user) {
    throw new WritError('unsafe_permissions', `${path} belongs to another user.`, {
      field,
      remedy: `Run the command as the user whom it belongs to, or: chown ${user} '${path}'`,
    });
  }
  if ((found.mode & 0o077) !== 0) {
    throw new WritError('unsafe_permissions', `${path} is open to others than its owner.`, {
      field,
      remedy: `Run: chmod 600 '${path}'`,
    });
  }
}

/** `shown` is the name that the caller knows. */
async function openFile(path: string, flags: number, field: string, shown: string = path): Promise<FileHandle> {
  try {
    return await open(path, flags, 0o600);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') {
      const reading = shown === path;
      throw new WritError('not_found', `${reading ? shown : dirname(shown)} does not exist.`, {
        field,
        remedy: reading ? 'Put it back where it was, or name where it is now.' : 'Make the directory first.',
        cause,
      });
    }
    throw new WritError('bad_config', `${shown} cannot be opened (${code}).`, {
      field,
      remedy: 'Name a file in a directory that this user can use.',
      cause,
    });
  }
}

function taken(path: string, field: string, cause: unknown): WritError {
  return new WritError('conflict', `${path} exists already.`, {
    field,
    remedy: 'Name a file that does not exist yet; a secret is never overwritten.',
    cause,
  });
}

/** What `FileHandle.read` does, of an open file or of something like one. */
interface Source {
  read(buffer: Buffer, offset: number, length: number, position: null): Promise<{ readonly bytesRead: number }>;
}

/** Also for pipes and other files that do not know their length. */
export async function readAtMost(file: Source, limit: number, path: string, field: string): Promise<Buffer> {
  const octets = Buffer.alloc(limit + 1);
  let length = 0;
  for (;;) {
    const { bytesRead } = await file.read(octets, length, octets.length - length, null);
    if (bytesRead === 0) return octets.subarray(0, length);
    length += bytesRead;
    if (length > limit) {
      octets.fill(0);
      throw new WritError('bad_config', `${path} is longer than ${limit} octets.`, { field, remedy: 'Name another.' });
    }
  }
}
