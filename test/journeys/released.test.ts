/** A machine with programs and a relay of the feed, whose authority is held for a while: nothing has to be started again. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { header, readStream, workloadStub } from '../../src/agent/testdata/client.ts';
import { connect, createVerifier } from '../../src/sdk/entry.ts';
import { testServer } from '../server.ts';

const server = await testServer();
const closing: (() => unknown)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});

/** What a program is given, or why it is given nothing. */
async function identities(socket: string): Promise<readonly string[] | number> {
  const client = workloadStub(socket);
  try {
    const stream = readStream(client.FetchX509SVID({}, header()));
    const message = await stream.count(1).catch(() => undefined);
    stream.cancel();
    return message === undefined ? (await stream.ended).code : message[0]!.svids.map((svid) => svid.spiffe_id);
  } finally {
    client.close();
  }
}

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  const late = performance.now() + 60_000;
  while (!(await what())) {
    assert.ok(performance.now() < late, `not within a minute: ${what}`);
    await new Promise((then) => setTimeout(then, 100));
  }
}

test('its programs have their identities again, and those behind it the feed', async () => {
  const socket = join(server.scratch, 'run', 'api.sock');
  const token = join(server.scratch, 'token');
  writeFileSync(token, await server.token('box', 'service'), { mode: 0o600 });
  await server.token('planner');
  await server.json('entry', 'create', 'planner', '--node', 'box', '--match', `unix:uid=${process.geteuid!()}`);
  const line = ['agent', 'run', '--socket', socket, '--token-file', token, '--feed-listen', '127.0.0.1:0', '--json'];
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../src/cmd/main.ts'), ...line], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  });
  closing.push(() => child.kill('SIGKILL'));
  const [text] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const { feed } = JSON.parse(text) as { feed: string };
  const reader = await connect({ token: await server.token('reader') });
  closing.push(() => reader.close());
  const verifier = createVerifier({ identity: reader, mode: 'strict', feed, relays: 'service/box/*' });
  closing.push(() => verifier.close());
  await verifier.ready(AbortSignal.timeout(60_000));
  const given = await identities(socket);
  assert.ok(Array.isArray(given) && given.length === 1, JSON.stringify(given));

  const { items } = await server.json<{ items: { id: string; kind: string }[] }>('ca', 'list');
  const { id: issuing } = items.find(({ kind }) => kind === 'issuing')!;
  const why = ['--cause', 'authority_compromise', '--quarantine', '--here'];
  const { id } = await server.json<{ id: string }>('stop', 'authority', issuing, ...why);
  await until(async () => typeof (await identities(socket)) === 'number' && !verifier.well);

  await server.json('release', id, '--here');
  await verifier.ready(AbortSignal.timeout(60_000));
  await until(async () => JSON.stringify(await identities(socket)) === JSON.stringify(given));
  assert.equal(child.exitCode, null);
});

test('doctor names an authority that is held, also after another took its place', async () => {
  interface Finding {
    readonly check: string;
    readonly state: string;
    readonly fix?: string;
  }
  const found = async (): Promise<Finding> => {
    const { stdout } = await server.cli('doctor', '--json');
    const { findings } = JSON.parse(stdout) as { findings: readonly Finding[] };
    return findings.find(({ check }) => check === 'authorities')!;
  };
  const { items } = await server.json<{ items: { id: string; kind: string }[] }>('ca', 'list');
  const { id: issuing } = items.find(({ kind }) => kind === 'issuing')!;
  const why = ['--cause', 'authority_compromise', '--quarantine', '--here'];
  const { id } = await server.json<{ id: string }>('stop', 'authority', issuing, ...why);
  const release = new RegExp(`writ release ${id} --here`);
  const held = await found();
  assert.equal(held.state, 'fail');
  assert.match(held.fix!, release);
  await server.json('ca', 'rotate', '--here');
  const succeeded = await found();
  assert.equal(succeeded.state, 'warn');
  assert.match(succeeded.fix!, release);
  await server.json('release', id, '--here');
  assert.equal((await found()).state, 'pass');
});
