/** Callers that a machine refuses by itself, and what the ledger says of them. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { Daemon } from '../../src/agent/daemon.ts';
import { ask, header, readStream, workloadStub } from '../../src/agent/testdata/client.ts';
import { connect } from '../../src/sdk/enrolment/connect.ts';
import { testServer } from '../server.ts';

const server = await testServer();
const closing: (() => unknown)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});
await server.token('planner');
const CALLER = join(import.meta.dirname, '../../src/agent/testdata/caller.ts');
const ME = process.geteuid!();
const DENIED = 7;

interface Refused {
  readonly fault: string;
  readonly uid?: number;
  readonly program?: string;
  readonly count: number;
  readonly since: string;
  readonly caller: string;
}

async function machine(name: string, ...match: string[]) {
  const identity = await connect({ token: await server.token(name, 'service') });
  closing.push(() => identity.close());
  const wishes = match.flatMap((one) => ['--match', one]);
  await server.json('entry', 'create', 'planner', '--node', name, ...wishes);
  const socket = join(server.scratch, name, 'api.sock');
  let ahead = 0;
  const clock = { now: () => Date.now() + ahead };
  const admin = join(server.scratch, `${name}-admin`, 'admin.sock');
  const daemon = await Daemon.start({ identity, socket, admin, clock });
  closing.push(() => daemon.close());
  const stub = workloadStub(socket);
  closing.push(() => stub.close());
  const told = async (subject: string): Promise<readonly Refused[]> =>
    (
      await server.json<{ items: { type: string; body: Refused }[] }>('ledger', 'list', '--subject', subject)
    ).items.flatMap(({ type, body }) => (type === 'workload.refused' ? [body] : []));
  /** The one entry about a fault, as soon as there is one. */
  const refused = async (fault: string): Promise<Refused> => {
    for (const late = performance.now() + 30_000; performance.now() < late; ) {
      const found = (await told(`agent:${name}`)).find((one) => one.fault === fault);
      if (found !== undefined) {
        assert.equal(found.caller, identity.spiffeId);
        return found;
      }
      await new Promise((then) => setTimeout(then, 50));
    }
    throw new Error(`the ledger says nothing of ${fault}`);
  };
  /** As if a minute had passed for the machine. */
  const pass = (): void => {
    ahead += 60_000;
  };
  return { pass, socket, stub, told, refused, id: identity.spiffeId };
}

test('whoever matches no entry is on the ledger, with its program, and asks as often as it likes', async () => {
  const { pass, stub, refused, told, id } = await machine('van', 'unix:path=/nowhere');
  const started = Date.now();
  for (let n = 0; n < 50; n++) {
    assert.equal((await readStream(stub.FetchX509SVID({}, header())).ended).code, DENIED);
  }
  const { uid, program, count, since } = await refused('no-entry');
  assert.deepEqual([uid, program, count], [ME, realpathSync(process.execPath), 1]);
  assert.ok(Math.abs(Date.parse(since) - started) < 60_000);
  // The rest of the minute is one number.
  pass();
  const sum = (all: readonly Refused[]): number => all.reduce((before, one) => before + one.count, 0);
  let all = await told(`instance:${id.split('/').at(-1)}`);
  for (const late = performance.now() + 30_000; sum(all) < 50 && performance.now() < late; ) {
    await new Promise((then) => setTimeout(then, 50));
    all = await told(`instance:${id.split('/').at(-1)}`);
  }
  assert.equal(sum(all), 50);
  assert.ok(all.length < 10, `${all.length} entries`);
});

test('a connection that goes on in another process than the one that ended is on the ledger', async () => {
  const { socket, refused } = await machine('cab', `unix:uid=${ME}`);
  const go = join(server.scratch, 'go');
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', CALLER, socket, 'hand-over', go], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  });
  closing.push(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value as string) as { child?: number; status?: string };
  const other = (await next()).child!;
  closing.push(() => {
    try {
      process.kill(other, 'SIGKILL');
    } catch {
      // It has ended.
    }
  });
  child.stdin.write('end\n');
  await once(child, 'exit');
  writeFileSync(go, '');
  assert.equal((await next()).status, 'permission_denied');
  const { uid, count } = await refused('handed-over');
  assert.deepEqual([uid, count], [ME, 1]);
});

test('whoever asks for an identity that it does not have is on the ledger; what the server refuses it says itself', async () => {
  const { stub, refused, told } = await machine('truck', `unix:uid=${ME}`);
  const asked = { audience: ['books'], spiffe_id: 'spiffe://other.example/agent/x/y' };
  await assert.rejects(ask(stub, stub.FetchJWTSVID, asked), { code: DENIED });
  assert.equal((await refused('not-its-identity')).uid, ME);
  const stream = readStream(stub.FetchX509SVID({}, header()));
  const { svids } = (await stream.count(1))[0]!;
  await server.json('instance', 'stop', svids[0]!.spiffe_id.split('/').at(-1)!, '--yes');
  assert.equal((await stream.ended).code, DENIED);
  assert.equal((await readStream(stub.FetchX509SVID({}, header())).ended).code, DENIED);
  assert.equal((await told('agent:truck')).length, 1);
});
