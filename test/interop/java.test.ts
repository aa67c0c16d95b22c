/** Programs with java-spiffe, as it is, on the Workload API of `writ agent`. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { realpathSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { createServer } from 'node:tls';
import { eventually, type Foreign, startForeign } from './foreign.ts';
import { machine } from './machine.ts';
import { javaWithSpiffe, pathOf, skipOf } from './tools.ts';

const JAVA = javaWithSpiffe();
const skip = skipOf(JAVA);
const box = (skip === false ? await machine() : undefined)!;
const PROGRAM = join(import.meta.dirname, 'java', 'Workload.java');

interface Line {
  readonly svids?: readonly { readonly id: string; readonly serial: string; readonly hint: string }[];
  readonly bundles?: readonly string[];
  readonly id?: string;
  readonly own?: string;
  readonly daemon?: string;
  readonly other?: string | null;
  readonly answer?: string;
  readonly error?: string;
}

/** Java, with the libraries; what it runs is the same program for all, so that the entries name that. */
function java(...args: readonly string[]): Foreign {
  const started = startForeign('java', ['-cp', join(pathOf(JAVA), '*'), ...args], {
    env: { SPIFFE_ENDPOINT_SOCKET: `unix:${box.socket}` },
  });
  box.atEnd(() => started.stop());
  return started;
}

/** Waits for a line that is wanted. */
function line(program: Foreign, wanted: (line: Line) => boolean): Promise<Line> {
  const lines = (): readonly Line[] =>
    program
      .said()
      .split('\n')
      .filter((text) => text.startsWith('{') && text.endsWith('}'))
      .map((text) => JSON.parse(text) as Line);
  return eventually(
    () => lines().find(wanted),
    () => `${wanted}: ${program.said().slice(-4000)}`,
  );
}

/** Where Java itself is. */
function javaProgram(): string {
  const { stderr } = spawnSync('java', ['-XshowSettings:properties', '-version'], { encoding: 'utf8' });
  return realpathSync(join(/java\.home = (.*)/.exec(stderr)![1]!, 'bin', 'java'));
}

before(async () => {
  if (skip !== false) return;
  for (const [agent, hint] of [
    ['planner', 'inside'],
    ['reader', 'outside'],
  ] as const) {
    await box.entry(agent, javaProgram(), '--hint', hint);
  }
});

test('java-spiffe sees identities and bundles, what is renewed and what is redacted', { skip }, async () => {
  const watcher = java(PROGRAM, 'watch');
  const first = await line(watcher, ({ svids }) => svids !== undefined);
  assert.deepEqual(
    first.svids!.map(({ hint }) => hint),
    ['inside', 'outside'],
  );
  assert.ok(first.svids![0]!.id.startsWith(box.prefix('agent/planner')));
  assert.deepEqual(first.bundles, [box.node.trustDomain]);
  await box.latest('planner').renew();
  await line(watcher, ({ svids }) => svids?.length === 2 && svids[0]!.serial !== first.svids![0]!.serial);
  await box.server.json('instance', 'stop', box.latest('planner').instance, '--yes');
  const left = await line(watcher, ({ svids }) => svids?.length === 1);
  assert.equal(left.svids![0]!.id, first.svids![1]!.id);
});

test('a JWT-SVID is believed by java-spiffe itself and by the daemon, for its audience alone', { skip }, async () => {
  const said = await line(java(PROGRAM, 'jwt', 'bank'), ({ id, error }) => (id ?? error) !== undefined);
  assert.match(said.id ?? JSON.stringify(said), /\/agent\/planner\//);
  assert.deepEqual([said.own, said.daemon, said.other], [said.id, said.id, 'JwtSvidException']);
});

test('its TLS proves itself to a server of the SDK, which proves itself to it', { skip }, async () => {
  const listener = createServer(box.node.serverOptions(), (peer) => peer.end('welcome\n'));
  box.node.protect(listener, { allow: 'agent/planner/*' });
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  box.atEnd(() => listener.close());
  const port = String((listener.address() as AddressInfo).port);
  const dial = (id: string): Promise<Line> =>
    line(java(PROGRAM, 'dial', '127.0.0.1', port, id), ({ answer, error }) => (answer ?? error) !== undefined);
  assert.deepEqual(await dial(box.node.spiffeId), { answer: 'welcome' });
  assert.deepEqual(await dial(box.prefix('service/box') + 'other'), { error: 'SSLHandshakeException' });
});
