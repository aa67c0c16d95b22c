import { createPrivateKey } from 'node:crypto';
import { chmod, mkdir, open, readFile, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Clock, systemClock } from '../base/clock.ts';
import { WritError } from '../base/error.ts';
import { enrol, type Home, openAuthority } from './authority.ts';
import type { Credential } from './credential.ts';
import { Identity } from './identity.ts';

export interface ConnectOptions {
  /** The join token, as "writ token create" printed it. Needed once, unless `store` still holds a living identity. */
  readonly token?: string;
  /** File with the join token: a secret in a file is in no process list. */
  readonly tokenFile?: string;
  /**
   * Directory, owner-only, in which key and certificate are kept, so that a restart of the program goes on with its
   * instance. Absent: memory only, and a restart enrols a new instance.
   */
  readonly store?: string;
  readonly clock?: Clock;
}

/** What lies in `store`. */
interface Stored {
  readonly version: 1;
  readonly home: Home;
  readonly credential: Omit<Credential, 'key'> & { readonly key: string };
}

/**
 * An identity for this running program: enrols with the token, or goes on with what `store` holds, and renews from then
 * on. Throws as `enrol` does; `bad_token` when neither a token nor a living stored identity is there.
 */
export async function connect(options: ConnectOptions): Promise<Identity> {
  const clock = options.clock ?? systemClock;
  const file = options.store === undefined ? undefined : join(options.store, 'identity.json');
  const kept = file === undefined ? undefined : await load(file, clock);
  const { credential, home } = kept ?? (await enrol(await tokenOf(options)));
  const identity = new Identity(credential, openAuthority(home), clock);
  if (file !== undefined) {
    if (kept === undefined) await save(file, home, credential);
    identity.on('renewed', (next) => {
      save(file, home, next).catch((error: Error) => identity.emit('failed', error));
    });
  }
  return identity;
}

async function tokenOf({ token, tokenFile }: ConnectOptions): Promise<string> {
  if (token !== undefined) return token;
  if (tokenFile !== undefined) return readFile(tokenFile, 'utf8');
  throw new WritError('bad_token', 'There is no join token and no stored identity that is still valid.', {
    field: 'token',
    remedy: 'Pass the token that "writ token create" prints.',
  });
}

async function load(file: string, clock: Clock): Promise<{ credential: Credential; home: Home } | undefined> {
  let text: string;
  try {
    if (((await stat(file)).mode & 0o077) !== 0) {
      throw new WritError('unsafe_permissions', 'Others than its owner can read the stored identity.', {
        field: 'store',
        remedy: `Run: chmod 600 '${file}'`,
      });
    }
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const stored = JSON.parse(text) as Stored;
  if (stored.version !== 1 || stored.credential.notAfter <= clock.now()) return undefined;
  return { home: stored.home, credential: { ...stored.credential, key: createPrivateKey(stored.credential.key) } };
}

/** Replaces the file as a whole, so that a crash leaves the old identity or the new one. */
async function save(file: string, home: Home, credential: Credential): Promise<void> {
  const directory = dirname(file);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await chmod(directory, 0o700);
  const key = credential.key.export({ type: 'pkcs8', format: 'pem' }) as string;
  const stored: Stored = { version: 1, home, credential: { ...credential, key } };
  const handle = await open(`${file}.new`, 'w', 0o600);
  try {
    await handle.writeFile(JSON.stringify(stored));
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${file}.new`, file);
}
