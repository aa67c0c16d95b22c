import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CallerProcess } from '../process/table.ts';
import type { Workloads } from '../workloads/workloads.ts';
import { follow, Updates } from './stream.ts';

const PROCESS: CallerProcess = { key: '1.1', pid: 1, uid: 0, gid: 0, started: 1 };

test('of a thousand who are told of the same each has a moment of its own, and all have heard within half a second', () => {
  const updates = new Updates();
  const moments: number[] = [];
  for (let n = 0; n < 1000; n++) updates.watch((afterMs) => moments.push(afterMs));
  updates.notify();
  assert.equal(new Set(moments).size, 1000);
  assert.ok(Math.max(...moments) < 500);
});

test('what concerns one caller alone does not wait for its turn among all', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  const pass = (ms: number): void => {
    now += ms;
    t.mock.timers.tick(ms);
  };
  const updates = new Updates();
  for (let n = 0; n < 1000; n++) updates.watch(() => undefined);
  let concerned = (): void => assert.fail('nobody listens');
  let looks = 0;
  const workloads = {
    async identities() {
      looks += 1;
      return { ok: true, children: [] };
    },
    watch(_process: CallerProcess, listener: () => void) {
      concerned = listener;
      return () => undefined;
    },
  } as unknown as Workloads;
  const over = new AbortController();
  const call = { connection: PROCESS, signal: over.signal, metadata: {}, waiting: () => 0, end: () => undefined };
  await follow(call, { workloads, updates }, () => undefined);
  assert.equal(looks, 1);

  updates.notify();
  pass(60);
  assert.equal(looks, 1, 'it is the last of a thousand');
  concerned();
  pass(60);
  assert.equal(looks, 2);
  over.abort();
});
