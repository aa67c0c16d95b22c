import { createPrivateKey } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isWritError, WritError } from '../../base/error.ts';
import type { Credential } from '../identity/credential.ts';
import type { Home } from './authority.ts';

/** An identity as it is kept between runs of a program. */
export interface Kept {
  readonly credential: Credential;
  readonly home: Home;
}

/** What the file holds. */
interface Stored {
  readonly version: 1;
  readonly home: Home;
  readonly credential: Omit<Credential, 'key'> & { readonly key: string };
}

const FILE = 'identity.json';

/** Permission bits mean nothing there. */
const WINDOWS = process.platform === 'win32';

/**
 * The identity that lies in a directory; undefined when there is none. Throws `unsafe_permissions` when others can read
 * it or put another in its place, `bad_config` when it cannot be understood.
 */
export async function loadIdentity(directory: string): Promise<Kept | undefined> {
  const file = join(directory, FILE);
  let text: string;
  try {
    await requireMode(directory, 0o022, 'change the directory of the stored identity', 'go-w');
    await requireMode(file, 0o077, 'read the stored identity', 'go=');
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw isWritError(error) ? error : unusable('read', directory, error);
  }
  try {
    const { version, home, credential } = JSON.parse(text) as Stored;
    if (version !== 1) throw new TypeError('another version');
    return { home, credential: { ...credential, key: createPrivateKey(credential.key) } };
  } catch (cause) {
    throw new WritError('bad_config', 'The stored identity cannot be understood.', {
      field: 'store',
      remedy: `Move it away and enrol anew: ${file}`,
      cause,
    });
  }
}

/**
 * Makes sure that an identity can be kept in a directory, before whatever is good once is spent on one. Makes it when it is
 * missing. Throws `bad_config` and `unsafe_permissions`.
 */
export async function prepareStore(directory: string): Promise<void> {
  const probe = join(directory, `${FILE}.new`);
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await (await open(probe, 'w', 0o600)).close();
    await rm(probe);
  } catch (cause) {
    throw unusable('written', directory, cause);
  }
  await requireMode(directory, 0o022, 'change the directory of the stored identity', 'go-w');
}

function unusable(how: string, directory: string, cause: unknown): WritError {
  const code = (cause as NodeJS.ErrnoException).code ?? 'unknown';
  return new WritError('bad_config', `What is in the directory for the identity cannot be ${how}: ${code}.`, {
    field: 'store',
    remedy: `Give a directory of this user's own in place of ${directory}.`,
    cause,
  });
}

/** Replaces what lies in a directory, which is made when it is missing. A crash leaves the old identity or the new one. */
export async function saveIdentity(directory: string, { home, credential }: Kept): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await requireMode(directory, 0o022, 'change the directory of the stored identity', 'go-w');
  const key = credential.key.export({ type: 'pkcs8', format: 'pem' }) as string;
  const stored: Stored = { version: 1, home, credential: { ...credential, key } };
  const file = join(directory, FILE);
  const handle = await open(`${file}.new`, 'w', 0o600);
  try {
    await handle.writeFile(JSON.stringify(stored));
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${file}.new`, file);
  if (!WINDOWS) await syncDirectory(directory);
}

/** Without this the new name may be lost with the power, and the old identity come back. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function requireMode(path: string, forbidden: number, what: string, mend: string): Promise<void> {
  if (WINDOWS || ((await stat(path)).mode & forbidden) === 0) return;
  throw new WritError('unsafe_permissions', `Others than its owner can ${what}.`, {
    field: 'store',
    remedy: `Run: chmod ${mend} '${path}'`,
  });
}
