/**
 * `npm run build`: JavaScript and declarations in `dist/`, as the published package carries them, since Node strips no
 * types under `node_modules`. What is read at run time beside the code (migrations, the default policy) goes along.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, globSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
rmSync(join(root, 'dist'), { recursive: true, force: true });
const compiled = spawnSync(
  process.execPath,
  [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'],
  {
    cwd: root,
    stdio: 'inherit',
  },
);
if (compiled.status !== 0) process.exit(1);
for (const file of globSync('src/**/*.{sql,cedar,cedarschema}', { cwd: root })) {
  cpSync(join(root, file), join(root, 'dist', file.slice('src/'.length)));
}
