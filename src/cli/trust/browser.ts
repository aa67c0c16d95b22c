import { existsSync, globSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isThat, type Machine, type Place, type Root } from './place.ts';

/** Where Chromium and its kin, and each profile of Firefox, keep their data base (NSS). */
const DATABASES = [
  '.pki/nssdb/cert9.db',
  'snap/chromium/current/.pki/nssdb/cert9.db',
  '.mozilla/firefox/*/cert9.db',
  'snap/firefox/common/.mozilla/firefox/*/cert9.db',
];

/** May vouch for servers, and for nothing else. */
const TRUST = 'C,,';

/** The stores of the browsers of a user, by the tool of NSS. */
export async function browserPlaces({ home, run }: Machine): Promise<Place[]> {
  const directories = globSync(DATABASES, { cwd: home })
    .sort()
    .map((file) => dirname(join(home, file)));
  return directories
    .filter((directory) => existsSync(directory))
    .map((directory): Place => {
      const certutil = (args: readonly string[], input?: string): Promise<string> =>
        run('certutil', ['-d', `sql:${directory}`, ...args], input);
      const has = async (root: Root): Promise<boolean> => {
        const pem = await certutil(['-L', '-n', root.name, '-a']).catch((error: unknown) => {
          // 255: there is none of that name.
          if ((error as { readonly code?: unknown }).code === 255) return '';
          throw error;
        });
        return isThat(pem, root);
      };
      return {
        store: 'browser',
        where: directory,
        hint: 'browsers that run see it after a restart',
        has,
        put: (root) => certutil(['-A', '-t', TRUST, '-n', root.name, '-a'], root.pem).then(() => {}),
        take: (root) => certutil(['-D', '-n', root.name]).then(() => {}),
      };
    });
}
