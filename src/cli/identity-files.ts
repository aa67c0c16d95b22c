import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { WritError } from '../base/error.ts';
import { type Credential, pemOf } from '../sdk/identity/credential.ts';

/**
 * An identity as files for programs that read PEM. Each file is replaced as a whole. Key before certificate: a program
 * that reads in between gets a pair that does not match and reads again, never a half file.
 */
export class IdentityFiles {
  readonly #directory: string;
  readonly paths: { readonly certificate: string; readonly key: string; readonly bundle: string };

  private constructor(directory: string) {
    this.#directory = directory;
    this.paths = {
      certificate: join(directory, 'certificate.pem'),
      key: join(directory, 'key.pem'),
      bundle: join(directory, 'bundle.pem'),
    };
  }

  /** In a fresh owner-only directory below `parent`. */
  static async make(parent: string, credential: Credential): Promise<IdentityFiles> {
    const files = new IdentityFiles(await mkdtemp(join(parent, 'writ-identity-')));
    await files.replace(credential);
    return files;
  }

  /** The whole path of a directory that is to be made. Throws `conflict` when it exists: somebody may be using it. */
  static requireNew(path: string): string {
    const directory = resolve(path);
    if (!existsSync(directory) && existsSync(dirname(directory))) return directory;
    throw new WritError('conflict', 'The directory cannot be made', {
      field: '--out',
      remedy: `Name one that does not exist yet, in one that does: ${directory}`,
    });
  }

  /** In a new owner-only directory. */
  static async at(directory: string, credential: Credential): Promise<IdentityFiles> {
    await mkdir(directory, { mode: 0o700 });
    const files = new IdentityFiles(directory);
    await files.replace(credential);
    return files;
  }

  async replace(credential: Credential): Promise<void> {
    const { key, chain } = pemOf(credential);
    await write(this.paths.bundle, credential.roots.join(''));
    await write(this.paths.key, key);
    await write(this.paths.certificate, chain);
  }

  async remove(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
  }
}

async function write(path: string, text: string): Promise<void> {
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}
