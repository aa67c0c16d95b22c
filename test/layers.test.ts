import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { test } from 'node:test';
import { layerViolations, ROWS } from './layers.ts';

const src = resolve(import.meta.dirname, '../src');

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts') && !path.includes(`${sep}testdata${sep}`));
}

test('every folder of src stands in a row', () => {
  const known = new Set(ROWS.flat());
  const folders = readdirSync(src).filter((name) => statSync(join(src, name)).isDirectory());
  assert.deepEqual(
    folders.filter((name) => !known.has(name)),
    [],
  );
});

test('imports point down the rows, type imports included', () => {
  const files = sources(src).map((path) => ({ path: relative(src, path), text: readFileSync(path, 'utf8') }));
  assert.ok(files.length > 0);
  assert.deepEqual(layerViolations(files), []);
});

test('the check itself finds planted violations', () => {
  const planted = [
    { path: 'der/up.ts', text: "import type { Agent } from '../registry/agent.ts';" },
    { path: 'rest/side.ts', text: "import { x } from '../acme/order.ts';" },
    { path: 'sdk/server.ts', text: "export { x } from '../ledger/log.ts';" },
    { path: 'ca/late.ts', text: "const later = await import('../issuance/issue.ts');" },
    { path: 'ca/other.ts', text: "import { x } from '../../bench/x.ts';" },
    { path: 'http/right.ts', text: "import { x } from '../base/error.ts';" },
  ];
  assert.deepEqual(
    layerViolations(planted).map((violation) => violation.split(' ')[0]),
    ['der/up.ts', 'rest/side.ts', 'sdk/server.ts', 'ca/late.ts', 'ca/other.ts'],
  );
});

test('README and ARCHITECTURE show the rows as they are', () => {
  const folders = new Set(readdirSync(src));
  const rows = ROWS.map((row) => row.filter((folder) => folders.has(folder)).sort());
  for (const page of ['README.md', 'docs/ARCHITECTURE.md']) {
    const text = readFileSync(join(src, '..', page), 'utf8');
    const shown = [...text.matchAll(/^ \d {2}([a-z0-9-]+(?: [a-z0-9-]+)*) {2,}/gm)];
    assert.deepEqual(
      shown.map(([, row]) => row!.split(' ').sort()),
      rows,
      page,
    );
  }
});
