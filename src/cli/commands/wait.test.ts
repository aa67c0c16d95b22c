/** `--wait` on each command that stops something: what it says while nobody listens, when all refuse, and when one is silent. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { testServer } from '../../../test/server.ts';
import { connect } from '../../sdk/enrolment/connect.ts';
import type { Identity } from '../../sdk/identity/identity.ts';
import { createVerifier } from '../../sdk/verifier/verifier.ts';

const server = await testServer({ args: ['--threads', '1'] });
const reader = await connect({ token: await server.token('reader', 'service') });
after(() => reader.close());

let made = 0;

/** A new instance of an agent of its own. */
async function victim(kind: 'agent' | 'service' = 'agent'): Promise<Record<'name' | 'instance' | 'serial', string>> {
  const name = `victim-${++made}`;
  const identity = await connect({ token: await server.token(name, kind) });
  identity.close();
  return { name, instance: identity.spiffeId.split('/').at(-1)!, serial: identity.credential.serial };
}

type Command = () => Promise<readonly string[]>;

/** Each command with `--wait`, on somebody new. */
const COMMANDS: Readonly<Record<string, Command>> = {
  'cert revoke': async () => ['cert', 'revoke', (await victim()).serial, '--cause', 'key_theft'],
  'instance stop': async () => ['instance', 'stop', (await victim()).instance, '--yes'],
  'agent retire': async () => ['agent', 'retire', (await victim()).name, '--yes'],
  'service retire': async () => ['service', 'retire', (await victim('service')).name, '--yes'],
  'stop certificate': async () => ['stop', 'certificate', (await victim()).serial, ...WHY],
  'stop instance': async () => ['stop', 'instance', (await victim()).instance, ...WHY],
  'stop parent': async () => ['stop', 'parent', (await victim()).instance, ...WHY],
  'stop label': async () => {
    const { name } = await victim();
    await server.json('agent', 'update', name, '--label', `task=${name}`);
    return ['stop', 'label', `task=${name}`, ...WHY];
  },
  'stop agent': async () => ['stop', 'agent', (await victim()).name, ...WHY, '--quarantine'],
  'operator remove': async () => {
    const name = `operator-${++made}`;
    await server.json('operator', 'add', name, '--person', 'admin', '--out', join(server.scratch, `${name}.json`));
    return ['operator', 'remove', name];
  },
};
const WHY = ['--cause', 'policy_change', '--yes'];

interface Effect {
  readonly points: number;
  readonly acknowledged: number;
  readonly accepted_after: number;
  readonly missing?: readonly string[];
}

async function effectOf(
  argv: readonly string[],
): Promise<{ readonly effect: Effect | undefined; readonly said: string }> {
  const { code, stdout, stderr } = await server.cli(...argv, '--wait', '--json');
  assert.equal(code, 0, stderr);
  return { effect: (JSON.parse(stdout) as { effect?: Effect }).effect, said: stderr };
}

/** Reads the feed as an enforcement point that never acknowledges. */
async function mute(identity: Identity): Promise<() => void> {
  const { hostname: host, port } = new URL(server.api);
  const sent = request({
    ...identity.clientOptions({ allow: 'writ/server' }),
    ...{ host, port, agent: false, path: '/v1/feed?point=mute' },
  });
  sent.on('error', () => undefined);
  sent.end();
  const [answer] = await once(sent, 'response');
  await once(answer, 'data');
  return () => sent.destroy();
}

test('where no point is connected it says so', async () => {
  for (const [name, command] of Object.entries(COMMANDS)) {
    const { effect, said } = await effectOf(await command());
    assert.deepEqual([effect?.points, effect?.acknowledged], [0, 0], name);
    assert.match(said, /No enforcement point is connected to this server\./, name);
  }
});

test('when all points refuse it says how fast', async () => {
  const verifier = createVerifier({ identity: reader, mode: 'strict', point: 'gateway' });
  await verifier.ready(AbortSignal.timeout(10_000));
  for (const [name, command] of Object.entries(COMMANDS)) {
    const { effect, said } = await effectOf(await command());
    assert.deepEqual([effect?.points, effect?.acknowledged, effect?.accepted_after], [1, 1, 0], name);
    assert.match(
      said,
      /Refused at 1 of 1 enforcement points: p99 \d+ ms, longest \d+ ms; 0 uses before, 0 after\./,
      name,
    );
  }
  const plain = await server.cli(...(await COMMANDS['cert revoke']!()), '--wait');
  assert.match(plain.stdout, /is revoked for good\./);
  assert.match(plain.stderr, /Refused at 1 of 1/);
  // Without the flag nobody waits, and nothing is said of it.
  const without = await server.cli(...(await COMMANDS['cert revoke']!()), '--json');
  assert.equal((JSON.parse(without.stdout) as { effect?: Effect }).effect, undefined);
  verifier.close();
});

test('a point that has not acknowledged is named', async () => {
  const verifier = createVerifier({ identity: reader, mode: 'strict', point: 'gateway' });
  const silence = await mute(reader);
  await verifier.ready(AbortSignal.timeout(10_000));
  const { effect, said } = await effectOf(await COMMANDS['instance stop']!());
  assert.deepEqual([effect?.points, effect?.acknowledged], [2, 1]);
  assert.equal(effect?.missing?.length, 1);
  assert.match(effect!.missing![0]!, /mute$/);
  assert.match(said, /Refused at 1 of 2 enforcement points: .* Not yet: \S*mute\.$/m);
  verifier.close();
  silence();
});

test('each command takes a link to what it rests on', async () => {
  const evidence = 'https://soc.example.com/cases/7';
  for (const [name, command] of Object.entries(COMMANDS)) {
    const argv = await command();
    const { code, stderr } = await server.cli(...argv, '--evidence', evidence);
    assert.equal(code, 0, `${name}: ${stderr}`);
    assert.equal((await server.cli(...(await command()), '--evidence', 'case 7')).code, 2, name);
  }
  const { items } = await server.json<{ items: { body: { evidence?: string } }[] }>(
    'ledger',
    'list',
    '--limit',
    '1000',
  );
  const named = items.filter(({ body }) => body.evidence === evidence);
  assert.ok(named.length >= Object.keys(COMMANDS).length, `${named.length}`);
});

test('Ctrl-C ends the watching, not the stop, and the answer is printed', async () => {
  const silence = await mute(reader);
  const { serial } = await victim();
  const flags = ['--server', server.api, '--operator', server.operator, '--wait', '--json'];
  const main = join(import.meta.dirname, '../../cmd/main.ts');
  const child = spawn(process.execPath, [main, 'cert', 'revoke', serial, '--cause', 'key_theft', ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = text(child.stdout);
  let heard = '';
  const watching = new Promise<void>((resolve) => {
    child.stderr.on('data', (piece: Buffer) => {
      heard += piece.toString();
      if (heard.includes('Refused at 0 of 1')) resolve();
    });
  });
  await Promise.race([watching, once(child, 'exit')]);
  const begun = performance.now();
  child.kill('SIGINT');
  const [code] = await once(child, 'close');
  assert.ok(performance.now() - begun < 2500, 'it does not wait any longer');
  assert.equal(code, 0, heard);
  const answer = JSON.parse(await said) as { status: string; effect: Effect };
  assert.deepEqual([answer.status, answer.effect.points, answer.effect.acknowledged], ['revoked', 1, 0]);
  assert.match(heard, /Not watched to the end\. Refused at 0 of 1/);
  silence();
});

test('an operator who is removed on the server’s machine is removed, whether anybody can watch or not', async () => {
  const argv = await COMMANDS['operator remove']!();
  const nowhere = ['--server', 'https://127.0.0.1:1'];
  const { code, stdout, stderr } = await server.cli(...argv, '--wait', ...nowhere, '--json');
  assert.equal(code, 0, stderr);
  const answer = JSON.parse(stdout) as { status: string; effect?: Effect };
  assert.deepEqual([answer.status, answer.effect], ['removed', undefined]);
  assert.match(stderr, /It is done, and not watched: /);
});

test('who stops the own certificate gets the answer, though nobody lets them watch any more', async () => {
  const { stdout, stderr, code } = await server.cli('cert', 'list', '--json');
  assert.equal(code, 0, stderr);
  const { items } = JSON.parse(stdout) as { items: { kind: string; name: string; serial: string }[] };
  const { serial } = items.find(({ kind, name }) => kind === 'operator' && name === 'admin')!;
  const { effect, said } = await effectOf(['stop', 'certificate', serial, ...WHY]);
  assert.equal(effect, undefined);
  assert.match(said, /It is done\. You are let in no more: The certificate was revoked/);
});
