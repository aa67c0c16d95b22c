import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { hasBlock, putBlock, takeBlock } from './pem-file.ts';
import type { Machine, Place } from './place.ts';

/**
 * Node has no store but its own: it reads one more file that the environment names. So there is such a file, and a line in
 * what systemd gives to all that a user starts (`environment.d`).
 */
export async function nodePlaces({ home }: Machine): Promise<Place[]> {
  const file = join(home, '.local/share/writ/trust/node.pem');
  const settings = join(home, '.config/environment.d/80-writ-trust.conf');
  const line = `NODE_EXTRA_CA_CERTS=${file}\n`;
  return [
    {
      store: 'node',
      where: file,
      hint: `programs that are started from now on need NODE_EXTRA_CA_CERTS=${file}, which comes with the next login`,
      has: async (root) => hasBlock(file, root),
      async put(root) {
        putBlock(file, root);
        if (existsSync(settings)) return;
        mkdirSync(dirname(settings), { recursive: true });
        writeFileSync(settings, line);
      },
      async take(root) {
        if (takeBlock(file, root) !== '') return;
        rmSync(file);
        if (existsSync(settings) && readFileSync(settings, 'utf8') === line) rmSync(settings);
      },
    },
  ];
}
