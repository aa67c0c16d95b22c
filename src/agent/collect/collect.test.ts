/** What is seen of processes: real ones where the machine has them, strict fakes of Docker and the kubelet elsewhere. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { isWritError, WritError } from '../../base/error.ts';
import { openNative } from '../process/native.ts';
import { ProgramFiles } from '../process/program-files.ts';
import { type CallerProcess, ProcessTable } from '../process/table.ts';
import { collectFacts } from './collect.ts';
import { type Collector, parseCgroups, type Subject } from './collector.ts';
import { containerCollector, containerIn, podOf } from './container.ts';
import { kubernetesCollector } from './kubernetes.ts';
import { parseUnit, systemdCollector } from './systemd.ts';
import { unixCollector } from './unix.ts';

const scratch = realpathSync(mkdtempSync(join(tmpdir(), 'writ-collect-')));
const closing: (() => unknown)[] = [() => rmSync(scratch, { recursive: true, force: true })];
after(async () => {
  for (const close of closing.reverse()) await close();
});

const ID = 'c0ffee'.padEnd(64, '0');
const OTHER = 'beef'.padEnd(64, '1');
const POD = '2c48913c-b29f-11e7-9350-020968147796';

test('the unit is the first group that is no slice, and a user’s own units are none of the system’s', () => {
  for (const [path, wanted] of [
    ['/system.slice/planner.service', { slice: 'system.slice', unit: 'planner.service' }],
    ['/a.slice/a-b.slice/x@1.service', { slice: 'a-b.slice', unit: 'x@1.service' }],
    ['/planner.service', { slice: undefined, unit: 'planner.service' }],
    // What a unit makes below itself is its own affair, whatever it calls it.
    ['/system.slice/evil.service/planner.service', { slice: 'system.slice', unit: 'evil.service' }],
    [
      '/user.slice/user-1000.slice/user@1000.service/app.slice/planner.service',
      { slice: 'user-1000.slice', unit: 'user@1000.service', userUnit: 'planner.service' },
    ],
    ['/user.slice/user-1000.slice/session-3.scope', { slice: 'user-1000.slice', unit: 'session-3.scope' }],
    ['/system.slice/_cpu.service', { slice: 'system.slice', unit: 'cpu.service' }],
    ['/', {}],
    ['/system.slice', {}],
    ['/docker/planner.service', {}],
    ['/../planner.service', {}],
    ['/planner.service\n', {}],
  ] as const) {
    const found = Object.fromEntries(Object.entries(parseUnit(path)).filter(([, value]) => value !== undefined));
    assert.deepEqual(
      found,
      Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined)),
      path,
    );
  }
});

test('a container’s id is read off the paths of all runtimes, and off nothing else', () => {
  for (const path of [
    `/docker/${ID}`,
    `/system.slice/docker-${ID}.scope`,
    `/system.slice/docker-${ID}.scope/init`,
    `/machine.slice/libpod-${ID}.scope`,
    `/kubepods/burstable/pod${POD}/${ID}`,
    `/kubepods.slice/kubepods-pod${POD.replaceAll('-', '_')}.slice/cri-containerd-${ID}.scope`,
    `/kubepods.slice/kubepods-pod${POD.replaceAll('-', '_')}.slice/crio-${ID}.scope`,
    // What runs in a container may make groups below its own, and call them as it likes.
    `/docker/${ID}/docker/${OTHER}`,
    `/kubepods/pod${POD}/${ID}/kubepods/pod${POD}/${OTHER}`,
  ]) {
    assert.equal(containerIn(path)?.id, ID, path);
  }
  for (const path of [
    '/',
    `/${ID.slice(1)}`,
    `/${ID}0`,
    `/docker-${ID.toUpperCase()}.scope`,
    `/x${ID}`,
    `/docker-${ID}.service`,
  ]) {
    assert.equal(containerIn(path), undefined, path);
  }
});

function subjectOf(path: string, process: Partial<CallerProcess> = {}): Subject {
  return { ...{ key: 'x', pid: 1, uid: 0, gid: 0, started: 1 }, ...process, cgroups: new Map([['', path]]) };
}

test('a pod is read off both kinds of paths, and never off what a user made', () => {
  const under = POD.replaceAll('-', '_');
  for (const path of [
    `/kubepods/burstable/pod${POD}/${ID}`,
    `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${under}.slice/cri-containerd-${ID}.scope`,
  ]) {
    assert.deepEqual(podOf(subjectOf(path)), { uid: POD, container: ID }, path);
  }
  for (const path of [
    `/user.slice/user-1000.slice/user@1000.service/kubepods/pod${POD}/${ID}`,
    // A unit that runs as somebody else than root and was given its part of the tree.
    `/system.slice/builder.service/kubepods-pod${under}.slice/cri-containerd-${ID}.scope`,
    `/system.slice/run-u1.scope/kubepods/pod${POD}/${ID}`,
    `/lxc.payload.guest/kubepods/pod${POD}/${ID}`,
    // Another container, which names what is below it.
    `/docker/${OTHER}/kubepods/pod${POD}/${ID}`,
    `/kubepods/pod${POD}`,
    `/kubepods/pod${POD}/x/${ID}`,
  ]) {
    assert.equal(podOf(subjectOf(path)), undefined, path);
  }
  const sibling = `/kubepods/burstable/pod${POD}/${ID}/pod${POD}/${OTHER}`;
  assert.deepEqual(podOf(subjectOf(sibling)), { uid: POD, container: ID });
});

test('a container’s id off a group that somebody else than root may have made is none', async () => {
  for (const path of [
    `/system.slice/builder.service/docker-${ID}.scope`,
    `/system.slice/run-u1.scope/${ID}`,
    `/user.slice/user-1000.slice/user@1000.service/app.slice/docker-${ID}.scope`,
    `/lxc.payload.guest/docker/${ID}`,
  ]) {
    const { facts, notes } = await containerCollector(undefined).collect(subjectOf(path));
    assert.deepEqual(facts, {}, path);
    assert.match(notes.join(), /somebody’s own making/);
  }
  const { facts } = await containerCollector(undefined).collect(subjectOf(`/system.slice/docker-${ID}.scope/init`));
  assert.deepEqual(facts, { 'container:id': [ID] });
});

/** A process of this machine as the daemon would hold it. */
function held(child: ChildProcess | number): CallerProcess {
  const table = new ProcessTable(openNative());
  const found = table.open(typeof child === 'number' ? child : child.pid!)!;
  closing.push(() => table.release(found));
  return found;
}

const see = (process: CallerProcess, ...collectors: Collector[]) => collectFacts(process, collectors);

test('a source that falls silent takes nothing back, unless the process is somewhere else by then', async () => {
  const own = held(process.pid);
  let silent = false;
  const source: Collector = {
    name: 'source',
    collect: async () =>
      silent
        ? { facts: { 'container:id': ['x'] }, notes: ['no answer'], silent: true }
        : { facts: { 'container:id': ['x'], 'container:image': ['y'] }, notes: [] },
  };
  const first = await collectFacts(own, [source]);
  silent = true;
  const second = await collectFacts(own, [source], first);
  assert.deepEqual([second.facts, second.notes], [first.facts, ['no answer']]);
  assert.deepEqual((await collectFacts(own, [source], second)).facts, first.facts);
  const elsewhere = await collectFacts(own, [source], { ...first, groups: 'others' });
  assert.deepEqual(elsewhere.facts, { 'container:id': ['x'] });
});

async function program(path: string, ...args: string[]): Promise<ChildProcess> {
  const child = spawn(path, args, { stdio: 'ignore' });
  closing.push(() => child.kill('SIGKILL'));
  await once(child, 'spawn');
  return child;
}

test('user, groups, path and content of a real program, also after it was replaced on disk', async () => {
  const path = join(scratch, 'sleeper');
  copyFileSync('/bin/sleep', path);
  const content = readFileSync(path);
  const process = held(await program(path, '60'));
  const collector = unixCollector(new ProgramFiles());
  const before = await see(process, collector);
  const { facts, notes } = before;
  const sha256 = createHash('sha256').update(content).digest('hex');
  assert.deepEqual(facts['unix:path'], [path]);
  assert.deepEqual(facts['unix:sha256'], [sha256]);
  assert.deepEqual([facts['unix:uid'], facts['unix:gid']], [[String(process.uid)], [String(process.gid)]]);
  if (process.uid === 0) assert.deepEqual([facts['unix:user'], facts['unix:group']], [['root'], ['root']]);
  assert.deepEqual(notes, []);
  // As a package manager does it. What runs is what it was.
  rmSync(path);
  writeFileSync(path, 'something else', { mode: 0o755 });
  const later = await collectFacts(process, [collector], before);
  assert.deepEqual([later.facts['unix:path'], later.facts['unix:sha256']], [[path], [sha256]]);
  // Whoever looks for the first time now sees no such path on this machine.
  const stranger = await see(process, unixCollector(new ProgramFiles()));
  assert.deepEqual([stranger.facts['unix:path'], stranger.facts['unix:sha256']], [undefined, [sha256]]);
  assert.match(stranger.notes.join(), /unix:path: this machine has another file/);
});

test('a program that was under no path of this machine is looked for there again', async () => {
  const path = join(scratch, 'mounted-later');
  copyFileSync('/bin/sleep', path);
  const process = held(await program(path, '60'));
  const collector = unixCollector(new ProgramFiles());
  const found = await see(process, collector);
  const seen = found.parts.get('unix')!;
  // As it was before this machine had the file there, too.
  const nowhere = { ...seen, program: { ...seen.program!, path: undefined } };
  const later = await collectFacts(process, [collector], { ...found, parts: new Map([['unix', nowhere]]) });
  assert.deepEqual(later.facts['unix:path'], [path]);
});

/** Answers as many questions as it is told to, and no further one. */
class SilentAfter extends ProgramFiles {
  answers: number;
  constructor(answers: number) {
    super();
    this.answers = answers;
  }
  override async ask<T>(program: string, question: () => Promise<T>): Promise<T> {
    if (this.answers-- > 0) return super.ask(program, question);
    throw new WritError('unavailable', 'no answer');
  }
}

test('a file system that falls silent at any question makes nobody another program, and leaves nothing open', async () => {
  const path = join(scratch, 'far');
  copyFileSync('/bin/sleep', path);
  const process = held(await program(path, '60'));
  const questions: string[] = [];
  class Counted extends ProgramFiles {
    override ask<T>(about: string, question: () => Promise<T>): Promise<T> {
      questions.push(about);
      return super.ask(about, question);
    }
  }
  const whole = await see(process, unixCollector(new Counted()));
  // Which file, its path, open, as it was, content, its end, as it still is.
  assert.deepEqual(questions, Array(7).fill(path));
  const descriptors = (): number => readdirSync('/proc/self/fd').length;
  const before = descriptors();
  for (let answers = 0; answers < questions.length; answers++) {
    const files = new SilentAfter(answers);
    const collector = unixCollector(files);
    await assert.rejects(see(process, collector), (error) => isWritError(error, 'unavailable'), `after ${answers}`);
    files.answers = 100;
    assert.deepEqual((await see(process, collector)).facts, whole.facts);
    // Of a program that is known, nothing is opened.
    files.answers = 2;
    assert.deepEqual((await see(process, collector)).facts, whole.facts);
  }
  for (let n = 0; n < 500 && descriptors() > before; n++) await new Promise((then) => setTimeout(then, 10));
  assert.equal(descriptors(), before);
});

test('a process that ends takes no digest from another that runs the same program', async () => {
  const path = join(scratch, 'shared');
  copyFileSync('/bin/sleep', path);
  const [first, second] = [await program(path, '60'), await program(path, '60')];
  const ended = held(first);
  let asked = 0;
  class EndsBeforeItIsOpened extends ProgramFiles {
    override async ask<T>(about: string, question: () => Promise<T>): Promise<T> {
      // Which file and which path, of both; then the first of them is to be opened.
      if (++asked === 5) {
        first.kill('SIGKILL');
        await once(first, 'exit');
      }
      return super.ask(about, question);
    }
  }
  const collector = unixCollector(new EndsBeforeItIsOpened());
  const [gone, other] = await Promise.all([see(ended, collector), see(held(second), collector)]);
  assert.deepEqual(gone.facts['unix:sha256'], undefined);
  assert.deepEqual(other.facts['unix:sha256'], [createHash('sha256').update(readFileSync(path)).digest('hex')]);
});

test('a file at which a question hangs is closed when that is answered', async () => {
  const path = join(scratch, 'hanging');
  copyFileSync('/bin/sleep', path);
  const process = held(await program(path, '60'));
  const order: string[] = [];
  const over = Promise.withResolvers<void>();
  let asked = 0;
  class Hanging extends ProgramFiles {
    override async ask<T>(about: string, question: () => Promise<T>): Promise<T> {
      // Its content.
      if (++asked !== 5) return super.ask(about, question);
      void question().then(() => order.push('answered'));
      throw new WritError('unavailable', 'no answer');
    }
    override close(...given: Parameters<ProgramFiles['close']>): void {
      order.push('closed');
      super.close(...given);
      over.resolve();
    }
  }
  await assert.rejects(see(process, unixCollector(new Hanging())), (error) => isWritError(error, 'unavailable'));
  await over.promise;
  assert.deepEqual(order, ['answered', 'closed']);
});

test('a file that was opened too late is closed', async () => {
  const path = join(scratch, 'late');
  copyFileSync('/bin/sleep', path);
  const process = held(await program(path, '60'));
  const late = Promise.withResolvers<void>();
  let asked = 0;
  let closed = 0;
  class Late extends ProgramFiles {
    override async ask<T>(about: string, question: () => Promise<T>): Promise<T> {
      if (++asked !== 3) return super.ask(about, question);
      const answer = question();
      void answer.then(() => late.resolve());
      throw new WritError('unavailable', 'no answer');
    }
    override close(...given: Parameters<ProgramFiles['close']>): void {
      closed += 1;
      super.close(...given);
    }
  }
  await assert.rejects(see(process, unixCollector(new Late())), (error) => isWritError(error, 'unavailable'));
  await late.promise;
  assert.equal(closed, 1);
});

/** Looks at itself, with descriptors and without. */
const STARVED = `
const { openSync, closeSync } = await import('node:fs');
const { openNative } = await import(${JSON.stringify(join(import.meta.dirname, '../process/native.ts'))});
const { ProcessTable } = await import(${JSON.stringify(join(import.meta.dirname, '../process/table.ts'))});
const { collectFacts } = await import(${JSON.stringify(join(import.meta.dirname, 'collect.ts'))});
const { unixCollector } = await import(${JSON.stringify(join(import.meta.dirname, 'unix.ts'))});
const { ProgramFiles } = await import(${JSON.stringify(join(import.meta.dirname, '../process/program-files.ts'))});
const own = new ProcessTable(openNative()).open(process.pid);
const collectors = [unixCollector(new ProgramFiles())];
const before = await collectFacts(own, collectors);
const open = [];
try { for (;;) open.push(openSync('/dev/null')); } catch {}
const starved = await collectFacts(own, collectors, before).then(({ facts }) => Object.keys(facts), ({ code }) => code);
for (const one of open) closeSync(one);
const after = await collectFacts(own, collectors, before);
console.log(JSON.stringify({ seen: 'unix:path' in before.facts, starved, same: JSON.stringify(after.facts) === JSON.stringify(before.facts) }));
`;

test('where the daemon has no descriptor left it sees nothing, rather than another program', () => {
  const flags = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', STARVED];
  const { status, stdout, stderr } = spawnSync(
    'sh',
    ['-c', 'ulimit -n 256 && exec "$@"', 'sh', process.execPath, ...flags],
    {
      encoding: 'utf8',
      env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    },
  );
  assert.equal(status, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), { seen: true, starved: 'unavailable', same: true });
});

test('a program that is mostly holes is not read to its end', async () => {
  const path = join(scratch, 'holes');
  copyFileSync('/bin/sleep', path);
  truncateSync(path, 3 * 2 ** 30);
  const child = await program(path, '60');
  const { facts, notes } = await see(held(child), unixCollector(new ProgramFiles()));
  assert.deepEqual([facts['unix:path'], facts['unix:sha256']], [[path], undefined]);
  assert.match(notes.join(), /too large/);
  child.kill('SIGKILL');
});

test('a file with another content has another digest, though nobody asks for its name', async () => {
  const path = join(scratch, 'changing');
  const collector = unixCollector(new ProgramFiles());
  const digestOf = async (from: string, ...args: string[]): Promise<string> => {
    copyFileSync(from, path);
    const child = await program(path, ...args);
    const { facts } = await see(held(child), collector);
    child.kill('SIGKILL');
    await once(child, 'exit');
    return facts['unix:sha256']![0]!;
  };
  const first = await digestOf('/bin/sleep', '60');
  // In place: the same inode, perhaps the same size.
  const second = await digestOf('/usr/bin/tail', '-f', '/dev/null');
  assert.notEqual(first, second);
  assert.equal(second, createHash('sha256').update(readFileSync('/usr/bin/tail')).digest('hex'));
});

const unshare = spawnSync('unshare', ['--mount', '--map-root-user', 'true']).status === 0;

test('a mount namespace of somebody’s own gives no program the path of another', {
  skip: unshare ? false : 'no mount namespaces here',
}, async () => {
  const [trusted, own] = [join(scratch, 'trusted'), join(scratch, 'own')];
  copyFileSync('/usr/bin/tail', trusted);
  copyFileSync('/bin/sleep', own);
  const child = await program(
    ...([
      'unshare',
      '--mount',
      '--map-root-user',
      'sh',
      '-c',
      `mount --bind ${own} ${trusted} && exec ${trusted} 60`,
    ] as const),
  );
  for (let n = 0; n < 500 && readFileSync(`/proc/${child.pid}/comm`, 'utf8') !== 'trusted\n'; n++) {
    await new Promise((then) => setTimeout(then, 10));
  }
  const { facts } = await see(held(child), unixCollector(new ProgramFiles()));
  assert.deepEqual(facts['unix:path'], undefined);
  assert.deepEqual(facts['unix:sha256'], [createHash('sha256').update(readFileSync('/bin/sleep')).digest('hex')]);
});

test('the control groups are those that the kernel says', async () => {
  const { facts } = await see(held(process.pid), unixCollector(new ProgramFiles()), systemdCollector());
  const paths = [...parseCgroups(readFileSync('/proc/self/cgroup', 'utf8')).values()];
  assert.deepEqual(new Set(facts['unix:cgroup']), new Set(paths));
  assert.deepEqual(
    [...parseCgroups('0::/a:b/c\n12:cpu,cpuacct:/x\n1:name=systemd:/y\nnonsense\n')],
    [
      ['', '/a:b/c'],
      ['cpu,cpuacct', '/x'],
      ['name=systemd', '/y'],
    ],
  );
});

/** Serves what these routes say, as strictly as the real one: other paths and methods do not exist. */
async function serve(routes: Readonly<Record<string, object>>, asked: IncomingMessage[] = []): Promise<string> {
  const path = join(scratch, `docker-${closing.length}.sock`);
  const server = createServer(listenerOf(routes, asked)).listen(path);
  await once(server, 'listening');
  closing.push(() => server.close());
  return path;
}

function listenerOf(routes: Readonly<Record<string, object>>, asked: IncomingMessage[]): RequestListener {
  return (request, response) => {
    asked.push(request);
    const body = request.method === 'GET' ? routes[request.url ?? ''] : undefined;
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body ?? { message: 'no such thing' }));
  };
}

const IMAGE = `sha256:${'1'.repeat(64)}`;
const MANIFEST = `sha256:${'2'.repeat(64)}`;

/** A container as Docker describes it, whose first process is this one. */
function dockerRoutes(pid: number): Readonly<Record<string, object>> {
  return {
    [`/containers/${ID}/json`]: {
      Id: ID,
      Image: IMAGE,
      State: { Pid: pid, Running: true },
      Config: {
        Image: 'registry.example/planner:1',
        Labels: { tier: 'gold', 'a b': 'x', 'com.example/team': 'tests' },
      },
    },
    [`/images/${IMAGE}/json`]: { Id: IMAGE, RepoDigests: [`registry.example/planner@${MANIFEST}`] },
  };
}

test('what Docker says of a container counts where its first process is in the same control group', async () => {
  const processes = join(scratch, 'proc');
  mkdirSync(join(processes, '4711'), { recursive: true });
  const group = `/system.slice/docker-${ID}.scope`;
  writeFileSync(join(processes, '4711', 'cgroup'), `0::${group}/init\n`);
  const socketPath = await serve(dockerRoutes(4711));
  const collector = containerCollector({ socketPath }, processes);
  for (const path of [group, `${group}/below`]) {
    const { facts, notes } = await collector.collect(subjectOf(path));
    assert.deepEqual(facts, {
      'container:id': [ID],
      'container:image': ['registry.example/planner:1'],
      'container:image_id': [IMAGE],
      'container:image_digest': [MANIFEST],
      'container:label/tier': ['gold'],
      'container:label/com.example/team': ['tests'],
    });
    assert.deepEqual(notes, []);
  }
  // Groups of somebody's own that are called like somebody else's container.
  for (const path of [
    `/user.slice/user-1000.slice/user@1000.service/docker-${ID}.scope`,
    `/system.slice/builder.service/docker-${ID}.scope`,
  ]) {
    const forged = await containerCollector({ socketPath }, processes).collect(subjectOf(path));
    assert.deepEqual(forged.facts, {}, path);
    assert.match(forged.notes.join(), /not that of the container/);
  }
  const stranger = await containerCollector({ socketPath }).collect(subjectOf(`/docker/${OTHER}`));
  assert.deepEqual(stranger.facts, { 'container:id': [OTHER] });
  assert.match(stranger.notes.join(), /status 404/);
  const silent = await containerCollector({ socketPath: join(scratch, 'nobody') }).collect(subjectOf(`/docker/${ID}`));
  assert.deepEqual(silent.facts, { 'container:id': [ID] });
  assert.match(silent.notes.join(), /ENOENT/);
  assert.deepEqual((await collector.collect(subjectOf('/system.slice/x.service'))).facts, {});
});

const PODS = {
  kind: 'PodList',
  apiVersion: 'v1',
  items: [
    {
      metadata: { name: 'planner-0', namespace: 'agents', uid: POD, labels: { app: 'planner', 'bad key': 'x' } },
      spec: { nodeName: 'node-1', serviceAccountName: 'planner' },
      status: {
        containerStatuses: [
          { name: 'sidecar', containerID: `containerd://${OTHER}`, image: 'side', imageID: 'side' },
          {
            name: 'planner',
            containerID: `containerd://${ID}`,
            image: 'registry.example/planner:1',
            imageID: `registry.example/planner@${MANIFEST}`,
          },
        ],
      },
    },
  ],
};

test('what the kubelet says of a pod, to whom it knows and over TLS alone', async () => {
  const [key, ca] = [join(scratch, 'kubelet.key'), join(scratch, 'kubelet.crt')];
  const made = spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', ca],
    ...['-subj', '/CN=node-1', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '1'],
  ]);
  assert.equal(made.status, 0, String(made.stderr));
  const asked: IncomingMessage[] = [];
  const routes: Record<string, object> = { '/pods': { items: [] } };
  const listener = listenerOf(routes, asked);
  const server = createTlsServer({ key: readFileSync(key), cert: readFileSync(ca) }, (request, response) => {
    if (request.headers.authorization === 'Bearer secret-token') listener(request, response);
    else response.writeHead(401).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => server.close());
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const tokenFile = join(scratch, 'token');
  writeFileSync(tokenFile, 'secret-token\n');
  const subject = subjectOf(`/kubepods/burstable/pod${POD}/${ID}`);

  // The kubelet hears of a container a moment after it has started.
  setTimeout(() => {
    routes['/pods'] = PODS;
  }, 700);
  const { facts, notes } = await kubernetesCollector({ url, tokenFile, caFile: ca }).collect(subject);
  assert.deepEqual(facts, {
    'k8s:namespace': ['agents'],
    'k8s:service_account': ['planner'],
    'k8s:pod': ['planner-0'],
    'k8s:pod_uid': [POD],
    'k8s:node': ['node-1'],
    'k8s:container': ['planner'],
    'k8s:label/app': ['planner'],
    'container:image': ['registry.example/planner:1'],
    'container:image_digest': [MANIFEST],
  });
  assert.deepEqual(notes, []);
  assert.ok(asked.length > 1);

  const said = async (options: Parameters<typeof kubernetesCollector>[0]) =>
    (await kubernetesCollector(options).collect(subject)).notes.join();
  assert.match(await said({ url, tokenFile }), /SELF_SIGNED|self-signed|UNABLE/i);
  assert.match(await said({ url, caFile: ca }), /status 401/);
  assert.match(await said({ url: 'https://127.0.0.1:1', tokenFile, caFile: ca }), /ECONNREFUSED/);
  assert.deepEqual((await kubernetesCollector({ url, tokenFile, caFile: ca }).collect(subjectOf('/'))).facts, {});
});

test('values that no fact can have are left out and named; the whole stays within what the server takes', async () => {
  const odd: Collector = {
    name: 'odd',
    collect: async () => ({
      facts: {
        'unix:path': ['/opt/pl\nanner'],
        'unix:cgroup': ['fine', '\ud800'],
        ...Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`container:label/${n}`, ['x'.repeat(1000)]])),
      },
      notes: [],
    }),
  };
  const { facts, notes } = await see(held(process.pid), odd);
  assert.equal(facts['unix:path'], undefined);
  assert.deepEqual(facts['unix:cgroup'], ['fine']);
  assert.ok(JSON.stringify(facts).length < 24 * 1024);
  assert.ok(notes.some((note) => note.startsWith('unix:path: ')));
  assert.ok(notes.some((note) => /more was seen/.test(note)));
  assert.ok(existsSync(`/proc/${process.pid}`));
});
