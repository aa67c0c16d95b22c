/**
 * `npm run build`: JavaScript and declarations in `dist/`, as the published package carries them, since Node strips no
 * types under `node_modules`. What is read at run time beside the code (migrations, the default policy) goes along.
 * `--out DIRECTORY` builds elsewhere.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, globSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const root = resolve(import.meta.dirname, '..');
const { values } = parseArgs({ options: { out: { type: 'string', default: join(root, 'dist') } } });
const out = resolve(values.out);
rmSync(out, { recursive: true, force: true });
const compiler = join(root, 'node_modules/typescript/bin/tsc');
const compiled = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json', '--outDir', out], {
  cwd: root,
  stdio: 'inherit',
});
if (compiled.status !== 0) process.exit(1);
for (const file of globSync('src/**/*.{sql,cedar,cedarschema}', { cwd: root })) {
  cpSync(join(root, file), join(out, file.slice('src/'.length)));
}
