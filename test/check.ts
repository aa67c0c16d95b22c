/** `npm run check`: types, lint, format, promises, dead code, layers. Runs all of them and fails if any does. */
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const tool = (path: string): readonly string[] => [process.execPath, resolve(root, 'node_modules', path)];

const steps: readonly (readonly [string, readonly string[]])[] = [
  ['types', [...tool('typescript/bin/tsc'), '--noEmit', '-p', '.']],
  ['lint and format', [...tool('@biomejs/biome/bin/biome'), 'check', '--error-on-warnings', '.']],
  ['promises', [...tool('oxlint/bin/oxlint'), '--config', 'oxlint.json', '--type-aware', 'src', 'test', 'bench']],
  ['dead code', [...tool('knip/bin/knip.js'), '--no-progress']],
  ['layers', [process.execPath, '--test', '--test-reporter=dot', 'test/layers.test.ts']],
];

const failed: string[] = [];
for (const [name, [command, ...args]] of steps) {
  const begun = performance.now();
  const { status } = spawnSync(command!, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) failed.push(name);
  process.stdout.write(`${status === 0 ? 'ok  ' : 'FAIL'} ${name} (${Math.round(performance.now() - begun)} ms)\n`);
}
process.exit(failed.length === 0 ? 0 : 1);
