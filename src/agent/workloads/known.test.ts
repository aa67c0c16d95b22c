/** A caller that ends while it is looked at, and is not seen to have ended yet. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readlinkSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { Collector } from '../collect/collector.ts';
import { ProgramFiles } from '../process/program-files.ts';
import type { ProcessTable } from '../process/table.ts';
import { KnownProcesses } from './known.ts';

const BOUND_MS = 20_000;
/** As it is between giving up its memory and being there no more. */
const processes = { alive: () => true, hold() {}, release() {} } as unknown as ProcessTable;

function runsNothing(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/exe`) === '';
  } catch {
    return true;
  }
}

test('what was read of a process that gave up its program meanwhile is not taken', async (context) => {
  // Its parent is a program that waits for no child: what has ended keeps its id.
  const parent = spawn('/bin/sh', ['-c', 'sleep 600 & echo $!; exec sleep 600'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [line] = (await once(parent.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  context.after(() => {
    parent.kill('SIGKILL');
    if (!runsNothing(pid)) process.kill(pid, 'SIGKILL');
  });
  let ends = false;
  const collector: Collector = {
    name: 'unix',
    async collect() {
      if (ends) process.kill(pid, 'SIGKILL');
      for (const late = Date.now() + BOUND_MS; ends && !runsNothing(pid) && Date.now() < late; ) await pause(5);
      return { facts: { 'unix:uid': ['1000'] }, notes: [] };
    },
  };
  const known = new KnownProcesses(processes, new ProgramFiles(), [collector]);
  const caller = { key: '1', pid, uid: 1000, gid: 1000, started: 1 };
  assert.deepEqual((await known.see(caller))?.seen?.facts, { 'unix:uid': ['1000'] });
  ends = true;
  assert.equal(await known.see(caller), undefined);
  assert.ok(existsSync(`/proc/${pid}/stat`), 'its id is still its own');
  assert.ok(runsNothing(pid));
});
