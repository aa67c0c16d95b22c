import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { noteGap } from './gaps.ts';

const VECTORS = resolve(import.meta.dirname, '../../shared/vectors/x509-limbo.json');

test('every published case of path validation comes out as it should', (context) => {
  if (!existsSync(VECTORS)) {
    noteGap('../shared: no vectors of path validation (x509-limbo.json)');
    context.skip('no vectors');
    return;
  }
  const { stdout, status } = spawnSync(process.execPath, [resolve(import.meta.dirname, 'limbo.ts')], {
    encoding: 'utf8',
  });
  assert.equal(stdout.trimEnd().split('\n').at(-1), '207 passed, 0 failed');
  assert.equal(status, 0);
});
