/**
 * `npm test`: runs every test beside the sources and under `test/`, then says which parts of the product this machine
 * could not test. A gap is a line that a test wrote into the file named by `WRIT_TEST_GAPS`. With `CI=true` every gap
 * but that of the shared vectors is a failure: what a machine lacks is installed there, never skipped quietly.
 *
 * Arguments are passed on to `node --test`; paths among them replace the default set.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const scratch = mkdtempSync(join(tmpdir(), 'writ-test-'));
const gapsFile = join(scratch, 'gaps');

const given = process.argv.slice(2);
const paths = given.filter((argument) => !argument.startsWith('-'));
const files =
  paths.length > 0
    ? paths
    : globSync(['src/**/*.test.ts', 'test/*.test.ts', 'test/journeys/*.test.ts'], { cwd: root }).sort();

const run = spawnSync(
  process.execPath,
  ['--test', '--test-timeout=180000', ...given.filter((argument) => argument.startsWith('-')), ...files],
  { cwd: root, stdio: 'inherit', env: { ...process.env, WRIT_TEST_GAPS: gapsFile } },
);

const gaps = existsSync(gapsFile)
  ? [...new Set(readFileSync(gapsFile, 'utf8').split('\n').filter(Boolean))].sort()
  : [];
rmSync(scratch, { recursive: true, force: true });
for (const [program, argument, name] of [
  ['go', 'version', 'Go'],
  ['python3', '--version', 'Python'],
] as const) {
  if (spawnSync(program, [argument]).status !== 0)
    gaps.push(`${name}: not installed, so "npm run interop" lacks a judge`);
}
for (const gap of gaps) process.stdout.write(`not tested on this machine: ${gap}\n`);

const forgiven = (gap: string): boolean => gap.startsWith('../shared');
const ci = process.env['CI'] === 'true';
if (ci && gaps.some((gap) => !forgiven(gap))) {
  process.stdout.write('a gap is a failure with CI=true\n');
  process.exit(1);
}
process.exit(run.status ?? 1);
