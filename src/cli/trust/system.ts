import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PASSWORD } from './java.ts';
import { isThat, type Machine, type Place, type Root } from './place.ts';

/** The roots of the system, into which its own tool puts together what lies in a directory. */
export async function systemPlaces({ anchors, run }: Machine): Promise<Place[]> {
  const found = anchors.find(({ directory }) => existsSync(directory));
  if (found === undefined) return [];
  const { directory, refresh, leaves } = found;
  const [tool, ...args] = refresh;
  const fileOf = (name: string): string => join(directory, `${name}.crt`);
  return [
    {
      store: 'system',
      where: directory,
      async has(root) {
        const file = fileOf(root.name);
        return existsSync(file) && isThat(readFileSync(file, 'latin1'), root);
      },
      async put(root) {
        writeFileSync(fileOf(root.name), root.pem, { mode: 0o644, flag: 'wx' });
        await run(tool!, args);
      },
      async take(root) {
        rmSync(fileOf(root.name));
        await run(tool!, args);
        if (leaves !== undefined) await takeLeft(root, leaves, run);
      },
    },
  ];
}

/**
 * What Debian's tool leaves when a file has gone from its directory: the links to it, by name and by digest, and the entry that its
 * hook made in Java's key store, by which every Java program would go on trusting the root.
 */
async function takeLeft(
  root: Root,
  { links, keyStore }: NonNullable<Machine['anchors'][number]['leaves']>,
  run: Machine['run'],
): Promise<void> {
  const name = `${root.name}.pem`;
  for (const entry of existsSync(links) ? readdirSync(links, { withFileTypes: true }) : []) {
    const file = join(links, entry.name);
    if (entry.isSymbolicLink() && (entry.name === name || readlinkSync(file) === name)) rmSync(file);
  }
  if (!existsSync(keyStore)) return;
  const args = ['-delete', '-alias', `debian:${name}`, '-keystore', keyStore, '-storepass', PASSWORD];
  await run('keytool', args).catch((error: unknown) => {
    // It fails with 1 where there is no such entry, and is not there where nobody has Java any more.
    const { code } = error as { readonly code?: unknown };
    if (code !== 1 && code !== 'ENOENT') throw error;
  });
}
