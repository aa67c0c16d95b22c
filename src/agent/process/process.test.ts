/** Who calls: real processes on a real socket, and all that can happen between their connection and their call. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { testServer } from '../../../test/server.ts';
import { WritError } from '../../base/error.ts';
import { connect } from '../../sdk/enrolment/connect.ts';
import type { WorkloadFault } from '../../wire/workload-refusal.ts';
import { Daemon } from '../daemon.ts';
import { type TestNodeServer, testNodeServer } from '../testdata/node-server.ts';
import { descriptorOf } from '../workload-api/endpoint.ts';
import { type Native, openNative } from './native.ts';
import { ProcessTable } from './table.ts';

const server = await testServer();
const node = await connect({ token: await server.token('box', 'service') });
const scratch = mkdtempSync(join(tmpdir(), 'writ-agent-'));
const closing: (() => unknown)[] = [() => node.close(), () => rmSync(scratch, { recursive: true, force: true })];
after(async () => {
  for (const close of closing.reverse()) await close();
});

const CALLER = join(import.meta.dirname, '../testdata/caller.ts');
const me = [`unix:uid=${process.geteuid!()}`];
let count = 0;

async function started() {
  const directory = join(scratch, String(count++));
  const own = testNodeServer(server);
  own.set([{ match: me }]);
  const socket = join(directory, 'api.sock');
  const daemon = await Daemon.start({
    ...{ identity: node, socket, admin: join(`${directory}-admin`, 'api.sock'), server: own },
  });
  closing.push(() => daemon.close());
  // Lists of a server that has just begun come a moment later, and would be a message of their own.
  await daemon.refresh();
  return { daemon, own, socket };
}

interface Line {
  readonly pid: number;
  readonly ids?: readonly string[];
  readonly status?: string;
  readonly child?: number;
}

interface Caller {
  readonly child: ChildProcess;
  readonly lines: readonly Line[];
  line(what: (line: Line) => boolean): Promise<Line>;
}

function caller(...args: string[]): Caller {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', CALLER, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  });
  closing.push(() => child.kill('SIGKILL'));
  const lines: Line[] = [];
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = JSON.parse(text) as Line;
    lines.push(line);
    const { child: other } = line;
    if (other !== undefined) closing.push(() => isGone(other) || process.kill(other, 'SIGKILL'));
  });
  return {
    child,
    lines,
    async line(what) {
      let found: Line | undefined;
      await until(() => {
        found = lines.find(what);
        return found !== undefined;
      });
      return found!;
    },
  };
}

async function until(what: () => boolean, ms = 20_000): Promise<void> {
  const late = performance.now() + ms;
  while (!what()) {
    assert.ok(performance.now() < late, `not within ${ms} ms: ${what}`);
    await new Promise((then) => setTimeout(then, 10));
  }
}

function isGone(pid: number): boolean {
  return !existsSync(`/proc/${pid}`);
}

test('each process is an instance of its own, which is stopped when the process ends', async () => {
  const { daemon, own, socket } = await started();
  const [one, two] = [caller(socket), caller(socket)];
  const ids = await Promise.all(
    [one, two].map(async (each) => (await each.line(({ ids }) => ids !== undefined)).ids![0]!),
  );
  assert.notEqual(ids[0], ids[1]);
  assert.deepEqual(
    own.enrolled.map(({ process: who }) => Number(/^pid (\d+),/.exec(who)?.[1])).sort(),
    [one.child.pid, two.child.pid].sort(),
  );
  one.child.kill('SIGKILL');
  await until(() => own.stopped.length === 1);
  assert.deepEqual(own.stopped, [{ instance: ids[0]!.split('/').at(-1), cause: 'task_completed' }]);
  assert.deepEqual(
    [...daemon.workloads.children].map(({ spiffeId }) => spiffeId),
    [ids[1]],
  );
  const { status } = await server.json<{ status: string }>('instance', 'show', own.stopped[0]!.instance);
  assert.equal(status, 'stopped');
  assert.deepEqual(own.refusals, [], 'a caller that ends when it has what it asked for was not refused');
});

test('of an entry for a whole node all processes share one instance, which outlives each of them', async () => {
  const { own, daemon, socket } = await started();
  own.set([{ match: me, per: 'node' }]);
  await daemon.refresh();
  const [one, two] = [caller(socket), caller(socket)];
  const [first, second] = await Promise.all([one, two].map((each) => each.line(({ ids }) => ids !== undefined)));
  assert.deepEqual(first!.ids, second!.ids);
  assert.equal(own.enrolled.length, 1);
  one.child.kill('SIGKILL');
  await once(one.child, 'exit');
  await new Promise((then) => setTimeout(then, 600));
  assert.equal(daemon.workloads.children.size, 1);
  assert.deepEqual(own.stopped, []);
});

test('a process that took over a connection speaks for the one that connected, and for nobody when that has ended', async () => {
  const { own, socket } = await started();
  const go = join(scratch, `go-${count}`);
  const first = caller(socket, 'hand-over', go);
  const { pid, child } = await first.line((line) => line.child !== undefined);
  writeFileSync(go, '');
  await first.line(({ ids }) => ids !== undefined);
  assert.match(own.enrolled[0]!.process, new RegExp(`^pid ${pid},`));
  first.child.stdin!.write('end\n');
  // The one that connected is gone: its stream ends though the connection is open.
  const end = await first.line(({ status }) => status !== undefined);
  assert.deepEqual([end.pid, end.status], [child, 'permission_denied']);
  await until(() => own.stopped.length === 1);
  await told(own, 'handed-over');
});

test('a caller that has ended gets nothing, whatever its connection outlives', async () => {
  const { own, socket, daemon } = await started();
  const go = join(scratch, `go-${count}`);
  const first = caller(socket, 'hand-over', go);
  const { pid } = await first.line((line) => line.child !== undefined);
  first.child.stdin!.write('end\n');
  await once(first.child, 'exit');
  await until(() => isGone(pid));
  writeFileSync(go, '');
  assert.equal((await first.line(({ status }) => status !== undefined)).status, 'permission_denied');
  assert.deepEqual(own.enrolled, []);
  await told(own, 'handed-over');
  // Its connection has closed by then, and nothing of it is kept.
  await until(() => (daemon.status() as { processes: number }).processes === 0);
});

const LAST_PID = '/proc/sys/kernel/ns_last_pid';
const canReuse = ((): boolean => {
  try {
    // Its mode alone does not say so.
    writeFileSync(LAST_PID, readFileSync(LAST_PID));
    return true;
  } catch {
    return false;
  }
})();

/** Starts programs until one has this id; undefined when others were faster each time. */
async function takePid(pid: number): Promise<ChildProcess | undefined> {
  for (let turn = 0; turn < 300; turn++) {
    writeFileSync(LAST_PID, String(pid - 1));
    const child = spawn('sleep', ['60'], { stdio: 'ignore' });
    if (child.pid === pid) return child;
    child.kill('SIGKILL');
  }
  return undefined;
}

test('a process that gets the id of one that connected does not get to be it, nor the other way round', {
  skip: canReuse ? false : 'ids cannot be chosen here',
}, async (context) => {
  const { own, daemon, socket } = await started();
  // What alone may have an identity is the program that will take the id.
  own.set([{ match: [`unix:path=${realpathSync('/bin/sleep')}`] }]);
  await daemon.refresh();
  const go = join(scratch, `go-${count}`);
  const first = caller(socket, 'hand-over', go);
  const { pid } = await first.line((line) => line.child !== undefined);
  first.child.stdin!.write('end\n');
  await once(first.child, 'exit');
  await until(() => isGone(pid));
  const taker = await takePid(pid);
  if (taker === undefined) {
    context.skip('others took the id each time');
    return;
  }
  closing.push(() => taker.kill('SIGKILL'));
  await until(() => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n');
  const { entries } = await why(daemon, pid);
  assert.deepEqual(entries[0]?.missing, [], 'by its id alone it would be let in');
  writeFileSync(go, '');
  assert.equal((await first.line(({ status }) => status !== undefined)).status, 'permission_denied');
  assert.deepEqual(own.enrolled, []);
  await told(own, 'id-taken');
});

/** The server hears of one caller of this user that was refused for that, and of nobody else. */
async function told(own: TestNodeServer, fault: WorkloadFault): Promise<void> {
  await until(() => own.refusals.length > 0);
  assert.deepEqual(
    own.refusals.map((one) => [one.fault, one.uid, one.count]),
    [[fault, process.geteuid!(), 1]],
  );
}

function why(daemon: Daemon, pid: number): Promise<{ entries: readonly { missing: readonly string[] }[] }> {
  return daemon.why(pid);
}

test('an instance that was let in for a process which ended meanwhile is stopped', async () => {
  const { own, socket, daemon } = await started();
  const enrol = own.enrol.bind(own);
  let enrolling = false;
  Object.assign(own, {
    enrol: async (...given: Parameters<typeof enrol>) => {
      enrolling = true;
      const made = await enrol(...given);
      await until(() => isGone(first.child.pid!));
      return made;
    },
  });
  const first = caller(socket);
  await until(() => enrolling);
  first.child.kill('SIGKILL');
  await until(() => own.stopped.length === 1);
  assert.equal(daemon.workloads.children.size, 0);
  await told(own, 'ended');
});

/** A caller that is another program from when it is told to go on. */
const BECOMES = `
process.stdin.once('data', () => process.execve('/bin/sleep', ['sleep', '60'], {}));
import(${JSON.stringify(CALLER)});`;

test('a process that runs another program from now on is told of, and loses what that is not entitled to', async () => {
  const { own, socket, daemon } = await started();
  const node26 = realpathSync(process.execPath);
  own.set([{ match: [`unix:path=${node26}`] }]);
  await daemon.refresh();
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '-e', BECOMES, 'as-a-script', socket],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    },
  );
  closing.push(() => child.kill('SIGKILL'));
  await until(() => daemon.workloads.children.size === 1);
  const [identity] = daemon.workloads.children;
  child.stdin.write('go\n');
  await until(() => own.renewed.length > 0);
  assert.match(own.renewed[0]!.facts!['unix:path']![0]!, /sleep|coreutils|busybox/);
  await until(() => daemon.workloads.children.size === 0 || !identity!.usable);
  // The server has heard what runs now, and does what it does.
  assert.deepEqual(own.stopped, []);
});

test('a process that runs another program while the server is silent is stopped as soon as it answers', async () => {
  const { own, socket, daemon } = await started();
  own.set([{ match: [`unix:path=${realpathSync(process.execPath)}`] }]);
  await daemon.refresh();
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '-e', BECOMES, 'as-a-script', socket],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    },
  );
  closing.push(() => child.kill('SIGKILL'));
  await until(() => daemon.workloads.children.size === 1);
  const [identity] = daemon.workloads.children;
  own.fail = new WritError('unavailable', 'gone');
  child.stdin.write('go\n');
  await until(() => identity!.end === 'stopped');
  assert.deepEqual([own.renewed, own.stopped], [[], []]);
  own.fail = undefined;
  await until(() => own.stopped.length > 0);
  assert.deepEqual(own.stopped, [{ instance: identity!.instance, cause: 'attestation_drift' }]);
});

/** The table itself, on a socket without anything above it. */
async function table(native: Native, pauseOnConnect = false) {
  const processes = new ProcessTable(native);
  const path = join(scratch, `table-${count++}.sock`);
  const sockets: Socket[] = [];
  const listener = createServer({ pauseOnConnect }, (socket) => sockets.push(socket));
  listener.listen(path);
  await once(listener, 'listening');
  closing.push(() => listener.close());
  const connected = async (): Promise<{ child: ChildProcess; socket: Socket }> => {
    const script = `require('node:net').connect(${JSON.stringify(path)}); setInterval(() => {}, 1000)`;
    const child = spawn(process.execPath, ['-e', script], { stdio: 'ignore' });
    closing.push(() => child.kill('SIGKILL'));
    const before = sockets.length;
    await until(() => sockets.length > before);
    return { child, socket: sockets.at(-1)! };
  };
  return { processes, connected };
}

for (const [name, native] of [
  ['with SO_PEERPIDFD', openNative()],
  ['with pidfd_open alone', { ...openNative(), peerProcess: () => undefined }],
  ['with start times alone', { ...openNative(), peerProcess: () => undefined, openProcess: () => undefined }],
] as const) {
  test(`processes are told from others of the same id ${name}`, async () => {
    const { processes, connected } = await table(native);
    const { child, socket } = await connected();
    const found = processes.accept(descriptorOf(socket)!)!;
    assert.deepEqual([found.pid, found.uid, found.gid], [child.pid, process.geteuid!(), process.getegid!()]);
    assert.equal(processes.exact, name === 'with SO_PEERPIDFD');
    assert.equal(processes.alive(found), true);
    assert.equal(processes.accept(descriptorOf(socket)!), found, 'the same process is the same');
    processes.release(found);
    assert.deepEqual(processes.sweep(), []);
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.equal(processes.alive(found), false);
    assert.deepEqual(
      processes.sweep().map(({ pid }) => pid),
      [child.pid],
    );
    assert.deepEqual(processes.sweep(), [], 'told once');
    assert.equal(processes.size, 1);
    processes.release(found);
    assert.equal(processes.size, 0);
  });
}

for (const [name, native] of [
  ['with SO_PEERPIDFD', openNative()],
  ['with pidfd_open alone', { ...openNative(), peerProcess: () => undefined }],
  ['with start times alone', { ...openNative(), peerProcess: () => undefined, openProcess: () => undefined }],
] as const) {
  test(`one that has taken the id of another is not it, before anybody has looked who ended, ${name}`, {
    skip: canReuse ? false : 'ids cannot be chosen here',
  }, async (context) => {
    const { processes, connected } = await table(native);
    const { child, socket } = await connected();
    const found = processes.accept(descriptorOf(socket)!)!;
    child.kill('SIGKILL');
    await once(child, 'exit');
    const taker = await takePid(found.pid);
    if (taker === undefined) {
      context.skip('others took the id each time');
      return;
    }
    closing.push(() => taker.kill('SIGKILL'));
    assert.equal(processes.alive(found), false);
    // Held for itself, it is somebody else.
    const other = processes.open(found.pid)!;
    assert.notEqual(other.key, found.key);
    assert.deepEqual([processes.alive(other), processes.alive(found)], [true, false]);
    for (const one of [found, other]) processes.release(one);
    assert.equal(processes.size, 0);
  });
}

test('of a process that ended it is known whether anybody has its connection', async () => {
  const { processes, connected } = await table(openNative(), true);
  const { child, socket } = await connected();
  const descriptor = descriptorOf(socket)!;
  const found = processes.accept(descriptor)!;
  child.kill('SIGKILL');
  await once(child, 'exit');
  // Another process that has its id by then has nothing to do with it.
  const { fault, goesOn } = processes.endOf(found, [descriptor]);
  assert.ok(fault === 'ended' || fault === 'id-taken', fault);
  assert.equal(goesOn, false);
  const refusal = processes.refusalOf(descriptor);
  assert.equal(refusal.uid, process.geteuid!());
  assert.ok(refusal.fault === 'ended' || refusal.fault === 'id-taken', refusal.fault);
  processes.release(found);
  socket.destroy();
});

test('descriptors are given back', async () => {
  const { processes, connected } = await table(openNative());
  const { socket } = await connected();
  const open = (): number => readdirCount('/proc/self/fd');
  const before = open();
  for (let n = 0; n < 50; n++) processes.release(processes.accept(descriptorOf(socket)!)!);
  assert.equal(open(), before);
  assert.equal(processes.size, 0);
});

function readdirCount(path: string): number {
  return readdirSync(path).length;
}
