import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { startServer } from '../program.ts';
import { clientOf, enrol, operatorClient, renew, rootsIn } from './clients.ts';

const scratch = mkdtempSync(join(tmpdir(), 'writ-stop-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

test('a stop under load loses no request, however often it is asked for', { timeout: 60_000 }, async () => {
  const data = join(scratch, 'writ-data');
  const server = await startServer(data);
  const url = server.api.replace('127.0.0.1', 'localhost');
  const credential = `${data}-operator/operator.json`;
  const operator = operatorClient(credential, url);
  const owner = { team: 'demo', sponsor: 'ada@example.com' };
  await operator.json({ method: 'POST', path: '/v1/agents', body: { name: 'planner', owner, purpose: 'plans' } });
  const made = { method: 'POST', path: '/v1/tokens', body: { agent: 'planner', uses: 8 } } as const;
  const { token } = await operator.json<{ token: string }>(made);
  operator.close();
  const roots = rootsIn(credential);
  const stranger = clientOf(url, roots);
  const leaves = await Promise.all(Array.from({ length: 8 }, () => enrol(stranger, token)));
  stranger.close();

  let stopping = false;
  let renewed = 0;
  const load = leaves.map(async (leaf) => {
    const client = clientOf(url, roots, leaf);
    while (!stopping) {
      await renew(client);
      renewed += 1;
    }
    client.close();
  });
  await pause(700);
  stopping = true;
  // A terminal, npm, the launcher and systemd may each pass the same signal on.
  for (let times = 0; times < 5; times += 1) {
    process.kill(server.pid, 'SIGTERM');
    await pause(1);
  }
  // Whatever was asked before the stop is answered: a request that is cut off rejects here.
  await Promise.all(load);
  assert.ok(renewed > 8, `${renewed} renewals`);
  const { code, stderr } = await server.ended;
  assert.deepEqual([code, stderr.includes('Stopped.')], [0, true]);
});
