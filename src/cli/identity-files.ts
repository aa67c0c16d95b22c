import { mkdir, mkdtemp, open, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { WritError } from '../base/error.ts';
import type { Credential } from '../sdk/credential.ts';

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

  /** In a new directory. Throws `conflict` when it exists: somebody may be using what lies there. */
  static async at(path: string, credential: Credential): Promise<IdentityFiles> {
    const directory = resolve(path);
    try {
      await mkdir(directory, { mode: 0o700 });
    } catch (cause) {
      throw new WritError('conflict', 'The directory cannot be made', {
        field: '--out',
        remedy: `Name one that does not exist yet, in one that does: ${directory}`,
        cause,
      });
    }
    const files = new IdentityFiles(directory);
    await files.replace(credential);
    return files;
  }

  async replace({ key, certificate, chain, roots }: Credential): Promise<void> {
    await write(this.paths.bundle, roots.join(''));
    await write(this.paths.key, key.export({ type: 'pkcs8', format: 'pem' }) as string);
    await write(this.paths.certificate, [certificate, ...chain].join(''));
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
