/** What a runtime says of its agent, through the daemon: what entries ask of it, what rules do, and what happens when it changes. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { Daemon } from '../../src/agent/daemon.ts';
import { isWritError } from '../../src/base/error.ts';
import { connect } from '../../src/sdk/enrolment/connect.ts';
import { runtimeClaims } from '../../src/sdk/evidence/runtime-claims.ts';
import { fromWorkloadApi } from '../../src/sdk/workload-api/identity.ts';
import { testServer } from '../server.ts';

const server = await testServer();
const closing: (() => unknown)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});
for (const name of ['planner', 'reader', 'guarded', 'crew']) await server.token(name);
const [TOOLS, OTHER] = ['a'.repeat(64), 'b'.repeat(64)];
const ME = `unix:uid=${process.geteuid!()}`;
const CALLER = join(import.meta.dirname, '../../src/agent/testdata/runtime-caller.ts');

interface Machine {
  readonly daemon: Daemon;
  readonly socket: string;
  readonly id: string;
}

async function machine(name: string): Promise<Machine> {
  const identity = await connect({ token: await server.token(name, 'service') });
  closing.push(() => identity.close());
  const socket = join(server.scratch, name, 'api.sock');
  const daemon = await Daemon.start({ identity, socket, admin: join(server.scratch, `${name}-admin`, 'admin.sock') });
  closing.push(() => daemon.close());
  await daemon.verifier.ready(AbortSignal.timeout(20_000));
  return { daemon, socket, id: identity.spiffeId };
}

async function entry({ daemon }: Machine, node: string, agent: string, ...match: string[]): Promise<void> {
  const flags = [ME, ...match].flatMap((one) => (one === '--per=node' ? ['--per', 'node'] : ['--match', one]));
  await server.json('entry', 'create', agent, '--node', node, ...flags);
  await daemon.refresh();
}

interface Line {
  readonly pid?: number;
  readonly ids?: readonly string[];
  readonly status?: string;
  readonly presented?: string;
}

interface Caller {
  readonly child: ChildProcess;
  readonly pid: number;
  /** Has it do something, and gives the next line that says one of these. */
  tells(what: object, ...about: (keyof Line)[]): Promise<Line>;
  next(...about: (keyof Line)[]): Promise<Line>;
  /** What it is given when it asks for identities: their ids, or the status. */
  asks(): Promise<readonly string[] | string>;
  presents(runtime: object): Promise<void>;
}

async function caller({ socket }: Machine): Promise<Caller> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', CALLER, socket], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  });
  closing.push(() => child.kill('SIGKILL'));
  const lines: Line[] = [];
  createInterface({ input: child.stdout }).on('line', (text) => lines.push(JSON.parse(text) as Line));
  const next = async (...about: (keyof Line)[]): Promise<Line> => {
    let at = -1;
    await until(() => {
      at = lines.findIndex((line) => about.some((one) => line[one] !== undefined));
      return at >= 0;
    }, about.join());
    return lines.splice(at, 1)[0]!;
  };
  const tells = (what: object, ...about: (keyof Line)[]): Promise<Line> => {
    child.stdin.write(`${JSON.stringify(what)}\n`);
    return next(...about);
  };
  return {
    ...{ child, next, tells, pid: (await next('pid')).pid! },
    async asks() {
      const { ids, status } = await tells({ watch: true }, 'ids', 'status');
      return ids ?? status!;
    },
    async presents(runtime) {
      assert.equal((await tells({ present: runtime }, 'presented')).presented, 'ok');
    },
  };
}

async function until(what: () => boolean | Promise<boolean>, told: string = String(what)): Promise<void> {
  const late = performance.now() + 30_000;
  while (!(await what())) {
    assert.ok(performance.now() < late, `not in time: ${told}`);
    await new Promise((then) => setTimeout(then, 20));
  }
}

const instanceOf = (id: string): string => id.split('/').at(-1)!;
const statusOf = async (id: string): Promise<string> =>
  (await server.json<{ status: string }>('instance', 'show', instanceOf(id))).status;
const onLedger = async (id: string, type: string): Promise<readonly Record<string, unknown>[]> =>
  (
    await server.json<{ items: { type: string; body: Record<string, unknown> }[] }>(
      ...['ledger', 'list', '--subject', `instance:${instanceOf(id)}`],
    )
  ).items
    .filter((one) => one.type === type)
    .map(({ body }) => body);
const held = (id: string): Promise<void> => until(async () => (await statusOf(id)) === 'quarantined');
/** Releases what drift has held, and gives what the caller is given then. */
async function releases(id: string, one: Caller): Promise<readonly string[] | string> {
  const { items } = await server.json<{ items: { id: string; target: { name: string } }[] }>('stop', 'list');
  await server.json('release', items.find(({ target }) => target.name === instanceOf(id))!.id, '--here');
  let given: readonly string[] | string = '';
  await until(async () => {
    given = await one.asks();
    return Array.isArray(given);
  }, 'released');
  return given;
}

const box = await machine('box');

const DENIED = 'PERMISSION_DENIED';

test('an entry that asks for a tool manifest lets in whoever has said that it runs it, and nobody before', async () => {
  await entry(box, 'box', 'planner', 'agent:framework=langgraph', `agent:tools_sha256=${TOOLS}`);
  const one = await caller(box);
  assert.equal(await one.asks(), DENIED);
  const before = await box.daemon.why(one.pid);
  assert.deepEqual(before.entries[0]!.missing, ['agent:framework=langgraph', `agent:tools_sha256=${TOOLS}`]);
  assert.match(before.notes.at(-1)!, /^agent: nothing/);

  const [right, wrong] = [TOOLS, OTHER].map((tools_sha256) => ({ framework: 'langgraph', tools_sha256 }));
  await one.presents(wrong!);
  assert.equal(await one.asks(), DENIED);
  const why = await box.daemon.why(one.pid);
  assert.deepEqual(why.entries[0]!.missing, [`agent:tools_sha256=${TOOLS}`]);
  assert.deepEqual(why.facts['agent:claimed'], ['framework', 'tools_sha256']);
  assert.deepEqual(why.notes, before.notes.slice(0, -1));

  await one.presents(right!);
  const [id] = await one.asks();
  const [enrolled] = await onLedger(id!, 'instance.enrolled');
  const facts = enrolled!['facts'] as Record<string, string[]>;
  assert.deepEqual([facts['agent:tools_sha256'], facts['agent:framework']], [[TOOLS], ['langgraph']]);
  assert.deepEqual(facts['agent:claimed'], ['framework', 'tools_sha256']);
  // Another process of the same program is not let in by what this one said.
  assert.equal(await (await caller(box)).asks(), DENIED);
  // Saying the same again changes nothing.
  await one.presents(right!);
  assert.deepEqual(await one.asks(), [id]);
  assert.equal(await statusOf(id!), 'active');

  // Other tools: taken back, and held by the server; the tools of before and a person bring it back, one alone does not.
  await one.presents(wrong!);
  assert.equal((await one.next('status')).status, DENIED);
  await held(id!);
  const [changed] = await onLedger(id!, 'instance.changed');
  assert.deepEqual([changed!['caller'], changed!['changed']], [box.id, ['agent:tools_sha256']]);
  await one.presents(right!);
  assert.equal(await one.asks(), DENIED);
  assert.deepEqual(await releases(id!, one), [id]);
});

test('who had an identity before anything was said of it keeps it, with that on the ledger; from then on it must stay so', async () => {
  const crate = await machine('crate');
  await entry(crate, 'crate', 'reader');
  const one = await caller(crate);
  const [id] = await one.asks();
  await one.presents({ model_provider: 'example', tools_sha256: TOOLS });
  const [added] = await onLedger(id!, 'evidence.added');
  const said = { 'agent:model_provider': ['example'], 'agent:tools_sha256': [TOOLS] };
  assert.deepEqual(added!['facts'], { ...said, 'agent:claimed': ['model_provider', 'tools_sha256'] });
  assert.deepEqual([added!['caller'], added!['instance']], [crate.id, instanceOf(id!)]);
  assert.deepEqual(await one.asks(), [id]);
  // More may come to be.
  await one.presents({ model_provider: 'example', tools_sha256: TOOLS, framework: 'own' });
  assert.equal((await onLedger(id!, 'evidence.added')).length, 2);
  assert.equal(await statusOf(id!), 'active');
  // Silence about what was said is a change.
  await one.presents({ tools_sha256: TOOLS, framework: 'own' });
  await held(id!);
  assert.deepEqual((await onLedger(id!, 'instance.changed'))[0]!['changed'], ['agent:model_provider']);
});

test('a rule of the organisation decides by it, and "writ agent why" says which', async () => {
  const { text } = await server.json<{ text: string }>('policy', 'show');
  const rules = join(server.scratch, 'rules.cedar');
  writeFileSync(
    rules,
    `${text}
@id("guarded-runs-with-its-tools")
@description("It runs with the tools that were reviewed.")
forbid (principal, action in [Action::"instance.enrol", Action::"workload.enrol"], resource == Agent::"guarded")
unless { context.facts.contains("agent:tools_sha256=${TOOLS}") };
`,
  );
  await server.json('policy', 'publish', rules);
  await entry(box, 'box', 'guarded', 'agent:framework=crewai');
  const one = await caller(box);
  await one.presents({ framework: 'crewai', tools_sha256: OTHER });
  assert.equal(await one.asks(), DENIED);
  const tried = (await box.daemon.why(one.pid)).entries.find(({ as }) => as === 'agent guarded')!;
  assert.deepEqual(tried.missing, []);
  assert.match(tried.refused!, /It runs with the tools that were reviewed/);
  await one.presents({ framework: 'crewai', tools_sha256: TOOLS });
  const [id] = await one.asks();
  assert.match(id!, /\/agent\/guarded\//);
});

test('of an entry for a whole node those share the identity that say the same', async () => {
  await entry(box, 'box', 'crew', 'agent:framework=crew', '--per=node');
  const [one, two, three] = [await caller(box), await caller(box), await caller(box)];
  for (const each of [one, two]) await each.presents({ framework: 'crew', tools_sha256: TOOLS });
  await three.presents({ framework: 'crew', tools_sha256: OTHER });
  const [id] = await one.asks();
  assert.deepEqual(await two.asks(), [id]);
  assert.equal(await three.asks(), DENIED);
  await two.presents({ framework: 'crew', tools_sha256: OTHER });
  assert.equal((await two.next('status')).status, DENIED);
  assert.deepEqual(await one.asks(), [id]);
  assert.equal(await statusOf(id!), 'active');
});

test('what one program said of itself does not hold for the next in the same process', async () => {
  const one = await caller(box);
  await one.presents({ framework: 'langgraph', tools_sha256: TOOLS });
  const [id] = await one.asks();
  one.child.stdin!.write(`${JSON.stringify({ become: '/bin/sleep' })}\n`);
  await held(id!);
  const { facts } = await box.daemon.why(one.pid);
  assert.deepEqual([facts['agent:tools_sha256'], facts['agent:claimed']], [undefined, undefined]);
});

test('what is no evidence is refused, as is a call that somebody was led to make', async () => {
  const one = await caller(box);
  for (const bad of [
    { tools_sha256: 'A'.repeat(64) },
    { image_digest: 'a'.repeat(64) },
    { framework: 'x'.repeat(129) },
    { framework: 'two\nlines' },
    { image_signature: { attestor: '../x', bundle: '{}' } },
  ]) {
    assert.equal((await one.tells({ present: bad }, 'presented')).presented, 'INVALID_ARGUMENT', JSON.stringify(bad));
  }
  const framework = { framework: 'langgraph', tools_sha256: TOOLS };
  assert.equal((await one.tells({ plain: framework }, 'presented')).presented, 'INVALID_ARGUMENT');
  assert.equal(await one.asks(), DENIED);
});

test('the client library says it before it asks, and again when it changes', async () => {
  const runtime = runtimeClaims({ framework: 'langgraph', systemPrompt: 'Plan.', modelProvider: 'example' });
  assert.equal(runtime.prompt_sha256, createHash('sha256').update('Plan.').digest('hex'));
  const socket = box.socket;
  await assert.rejects(fromWorkloadApi({ socket, runtime, timeout: 500 }), (error) => isWritError(error, 'denied'));
  const tools = { ...runtime, tools_sha256: TOOLS };
  const identity = await fromWorkloadApi({ socket, runtime: async () => tools });
  closing.push(() => identity.close());
  assert.match(identity.spiffeId, /\/agent\/planner\//);
  const id = identity.spiffeId;
  const ended = once(identity, 'ended');
  await identity.presentRuntime({ ...tools, prompt_sha256: OTHER });
  await ended;
  assert.throws(
    () => identity.credential,
    (error) => isWritError(error, 'denied'),
  );
  await held(id);
  assert.deepEqual((await onLedger(id, 'instance.changed'))[0]!['changed'], ['agent:prompt_sha256']);
});
