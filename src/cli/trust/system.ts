import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isThat, type Machine, type Place } from './place.ts';

/** The roots of the system, into which its own tool puts together what lies in a directory. */
export async function systemPlaces({ anchors, run }: Machine): Promise<Place[]> {
  const found = anchors.find(({ directory }) => existsSync(directory));
  if (found === undefined) return [];
  const { directory, refresh } = found;
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
      },
    },
  ];
}
