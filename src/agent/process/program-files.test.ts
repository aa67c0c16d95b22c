/** Programs on file systems whose server is silent. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setImmediate as settled } from 'node:timers/promises';
import { isWritError } from '../../base/error.ts';
import { ProgramFiles } from './program-files.ts';

const scratch = mkdtempSync(join(tmpdir(), 'writ-programs-'));
const children: ChildProcess[] = [];
after(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(scratch, { recursive: true, force: true });
});

/** A process that runs a program of this name, until the end. */
function running(name: string): number {
  const program = join(scratch, name);
  copyFileSync('/bin/sleep', program);
  const child = spawn(program, ['600']);
  children.push(child);
  return child.pid!;
}

const unavailable = (error: unknown): boolean => isWritError(error, 'unavailable');

test('a process says which file it runs, one that has ended none', async () => {
  const files = new ProgramFiles();
  const [one, other] = [running('one'), running('another')];
  const first = await files.state(one);
  assert.match(first!, /^\d+\.\d+\.\d+$/);
  assert.equal(await files.state(one), first);
  assert.notEqual(await files.state(other), first);
  assert.equal(await files.state(2 ** 30), undefined);
  assert.equal(files.runs(one), true);
  assert.equal(files.runs(2 ** 30), false);
});

test('whose program does not answer is told so, others go on, and it is looked at again when it answers', async (t) => {
  const [stuck, other, well] = [running('stuck'), running('stuck-too'), running('well')];
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const silent = new Set<() => void>();
  const looks: number[] = [];
  const files = new ProgramFiles(async (pid) => {
    looks.push(pid);
    if (pid !== well) await new Promise<void>((answer) => silent.add(answer));
    return `of ${pid}`;
  });
  const late = async (...pids: readonly number[]): Promise<void> => {
    const asked = pids.map((pid) => assert.rejects(files.state(pid), unavailable));
    await settled();
    t.mock.timers.tick(5000);
    await Promise.all(asked);
  };
  // Two who run it come at once, and both wait; nobody does who runs another.
  const both = late(stuck, stuck);
  assert.equal(await files.state(well), `of ${well}`);
  await both;
  await assert.rejects(files.state(stuck), unavailable);
  assert.equal(await files.state(well), `of ${well}`);
  assert.deepEqual(looks, [stuck, stuck, well, well], 'no third thread waits for it');
  // With a second program nothing is looked at any more: other files are read by the same threads.
  await late(other, well);
  await assert.rejects(files.state(well), unavailable);
  assert.deepEqual(looks.slice(4), [other]);
  for (const answer of silent) answer();
  await settled();
  assert.equal(await files.state(well), `of ${well}`);
  const again = files.state(stuck);
  await settled();
  for (const answer of silent) answer();
  assert.equal(await again, `of ${stuck}`);
});

test('an answer that comes too late is nobody’s, and what fails at last harms nobody', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const files = new ProgramFiles();
  const fails = Promise.withResolvers<string>();
  const late = assert.rejects(
    files.ask('/far/program', () => fails.promise),
    unavailable,
  );
  await settled();
  t.mock.timers.tick(5000);
  await late;
  await assert.rejects(
    files.ask('/far/program', async () => 'x'),
    unavailable,
  );
  fails.reject(new Error('unmounted'));
  await settled();
  assert.equal(await files.ask('/far/program', async () => 'there again'), 'there again');
  // What a question says for itself reaches who asked.
  await assert.rejects(
    files.ask('/far/program', async () => Promise.reject(new Error('EIO'))),
    /EIO/,
  );
});

test('who closes waits for nobody, and a file system that is silent at that is silent', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const files = new ProgramFiles();
  const closed = Promise.withResolvers<void>();
  files.close('/far/program', { close: () => closed.promise } as unknown as FileHandle);
  assert.equal(await files.ask('/far/program', async () => 'not yet'), 'not yet');
  t.mock.timers.tick(5000);
  await assert.rejects(
    files.ask('/far/program', async () => 'x'),
    unavailable,
  );
  assert.equal(await files.ask('/near/program', async () => 'of another'), 'of another');
  closed.resolve();
  await settled();
  assert.equal(await files.ask('/far/program', async () => 'there again'), 'there again');
});
