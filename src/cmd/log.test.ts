/** The log of a process when nobody takes it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';

const SCRIPT = `
const { openLog } = await import(${JSON.stringify(join(import.meta.dirname, 'log.ts'))});
process.stderr.on('error', () => undefined);
const log = openLog('info', 'main');
for (let n = 0; n < 5000; n++) log.info('x'.repeat(1000), { n });
process.stdout.write('done', () => process.stdin.once('data', () => {
  log.info('last');
  process.exit(0);
}));
`;

test('a log that nobody reads holds nobody up; one that is read again goes on with what it kept', async () => {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', SCRIPT],
    { stdio: ['pipe', 'pipe', 'pipe'] },
  );
  // All lines are written while nobody reads, which are more than a pipe holds.
  assert.equal(String((await once(child.stdout, 'data'))[0]), 'done');
  let said = '';
  child.stderr.on('data', (piece: Buffer) => {
    said += piece.toString();
  });
  child.stdin.write('go\n');
  assert.deepEqual(await once(child, 'close'), [0, null]);
  const lines = said.split('\n').filter((line) => line !== '');
  assert.ok(lines.length > 50);
  assert.deepEqual(
    lines.slice(0, 50).map((line) => (JSON.parse(line) as { n: number }).n),
    Array.from({ length: 50 }, (_, n) => n),
  );
});
