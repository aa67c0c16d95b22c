/** `writ feed relay`: a machine that serves the feed on, and what becomes of it when it is stopped itself. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect, createVerifier } from '../../src/sdk/entry.ts';
import { writ } from '../program.ts';
import { testServer } from '../server.ts';

const server = await testServer();
const closing: (() => void)[] = [];
after(() => {
  for (const close of closing.reverse()) close();
});
const connection = ['--operator', server.operator, '--server', server.api];

/** A relay as a process of its own. */
async function relay(...flags: string[]) {
  const line = ['feed', 'relay', '--service', 'gateway', '--listen', '127.0.0.1:0', ...flags, '--json', ...connection];
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../src/cmd/main.ts'), ...line], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  });
  closing.push(() => child.kill('SIGKILL'));
  const ended = once(child, 'exit') as Promise<[number | null, string | null]>;
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [first] = (await Promise.race([once(child.stdout, 'data'), ended])) as [unknown];
  assert.match(String(first), /^\{"url"/, said);
  const { url, spiffe_id: id } = JSON.parse(String(first)) as { url: string; spiffe_id: string };
  return { child, url, id, said: () => said, ended };
}

test('programs follow the feed through relays on other machines, until those are stopped', async () => {
  await server.token('gateway', 'service');
  const planner = await connect({ token: await server.token('planner') });
  closing.push(() => planner.close());
  const first = await relay('--allow', 'agent/planner/*', '--allow', 'service/gateway/*', '--point', 'edge');
  const second = await relay('--allow', 'agent/planner/*', '--from', first.url, '--relays', 'service/gateway/*');
  const made = createVerifier({ identity: planner, mode: 'strict', feed: second.url, relays: 'service/gateway/*' });
  closing.push(() => made.close());
  await made.ready(AbortSignal.timeout(10_000));

  const victim = await connect({ token: await server.token('planner') });
  closing.push(() => victim.close());
  const subject = `serial:${victim.credential.serial}`;
  const told = new Promise<void>((then) => made.on('entry', ({ subjects }) => subjects.includes(subject) && then()));
  // Until the authority knows who is behind.
  await new Promise((then) => setTimeout(then, 600));
  const { effect } = await server.json<{ effect: Record<string, number> }>(
    ...['cert', 'revoke', victim.credential.serial, '--cause', 'key_theft', '--wait'],
  );
  await told;
  assert.deepEqual([effect['points'], effect['acknowledged']], [3, 3]);

  await server.json('instance', 'stop', second.id.split('/').at(-1)!, '--yes');
  const [code] = await second.ended;
  assert.notEqual(code, 0);
  assert.match(second.said(), /This relay was stopped/);
  first.child.kill('SIGTERM');
  assert.deepEqual(await first.ended, [0, null], first.said());
  // Its work was done: the identity is worth nothing any more.
  const { status } = await server.json<{ status: string }>('instance', 'show', first.id.split('/').at(-1)!);
  assert.equal(status, 'stopped');
});

test('what cannot be is refused before anybody is let in', async () => {
  const run = (...flags: string[]) => writ(['feed', 'relay', '--service', 'gateway', ...flags, ...connection], {});
  for (const [flags, wrong] of [
    [['--allow', 'agent/planner/*', '--listen', 'nowhere'], /--listen/],
    [['--listen', '127.0.0.1:0'], /--allow/],
    [['--allow', 'agent', '--listen', '127.0.0.1:0'], /allow/],
    [['--allow', 'agent/planner/*', '--listen', '127.0.0.1:0', '--from', 'https://localhost:1'], /relays/],
  ] as const) {
    const { code, stderr } = await run(...flags);
    assert.notEqual(code, 0);
    assert.match(stderr, wrong);
  }
});

test('one that is held goes on when it is released, and ends when all of its kind are stopped', async () => {
  const { child, ended, url, said } = await relay('--allow', 'agent/planner/*');
  const planner = await connect({ token: await server.token('planner') });
  closing.push(() => planner.close());
  const made = createVerifier({ identity: planner, mode: 'strict', feed: url, relays: 'service/gateway/*' });
  closing.push(() => made.close());
  await made.ready(AbortSignal.timeout(30_000));
  const alarm = new Promise((then) => made.once('alarm', then));
  const hold = ['stop', 'agent', 'gateway', '--cause', 'clone_detected', '--quarantine'];
  const { id } = await server.json<{ id: string }>(...hold);
  await alarm;
  assert.equal(child.exitCode, null);
  await server.json('release', id, '--here');
  await made.ready(AbortSignal.timeout(30_000));
  await server.json('stop', 'agent', 'gateway', '--cause', 'clone_detected');
  const [code] = await ended;
  assert.notEqual(code, 0);
  assert.match(said(), /This relay was stopped/);
});
