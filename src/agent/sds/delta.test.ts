/** The incremental secret discovery service on a real socket, asked by a foreign client. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { testServer } from '../../../test/server.ts';
import { connect } from '../../sdk/enrolment/connect.ts';
import { Daemon } from '../daemon.ts';
import { testNodeServer } from '../testdata/node-server.ts';

const server = await testServer();
const node = await connect({ token: await server.token('box', 'service') });
const scratch = mkdtempSync(join(tmpdir(), 'writ-sds-'));
const own = testNodeServer(server);
const said: string[] = [];
const socket = join(scratch, 'run', 'api.sock');
const me = [`unix:uid=${process.geteuid!()}`];
const ENTRIES = [
  { id: '01jd0000000000000000000001', match: me, name: 'planner', hint: 'edge' },
  { id: '01jd0000000000000000000002', match: me, name: 'reader', hint: 'inside' },
];
own.set(ENTRIES);
const daemon = await Daemon.start({
  ...{ identity: node, socket, admin: join(scratch, 'run-admin', 'api.sock'), server: own },
});
daemon.on('said', (line) => said.push(line));
await daemon.refresh();
const closing: (() => unknown)[] = [
  () => rmSync(scratch, { recursive: true, force: true }),
  () => node.close(),
  () => daemon.close(),
];
after(async () => {
  for (const close of closing.reverse()) await close();
});

const SECRET = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';
const Service = (
  grpc.loadPackageDefinition(
    loadSync(join(import.meta.dirname, 'testdata/sds.proto'), { keepCase: true, defaults: true }),
  ) as unknown as { envoy: { service: { secret: { v3: { SecretDiscoveryService: grpc.ServiceClientConstructor } } } } }
).envoy.service.secret.v3.SecretDiscoveryService;

interface Answer {
  readonly system_version_info: string;
  readonly resources: readonly {
    readonly name: string;
    readonly version: string;
    readonly resource: { readonly type_url: string; readonly value: Buffer };
  }[];
  readonly nonce: string;
  readonly type_url: string;
  readonly removed_resources: readonly string[];
}

interface Delta {
  ask(asked: object): void;
  /** Takes the answer, or with `why` does not. */
  takes(answer: Answer, why?: string): void;
  /** The next answer. */
  next(): Promise<Answer>;
  readonly waiting: () => number;
  readonly ended: Promise<number>;
  cancel(): void;
}

function delta(): Delta {
  const options = { 'grpc.use_local_subchannel_pool': 1 };
  const client = new Service(
    `unix://${socket}`,
    grpc.credentials.createInsecure(),
    options,
  ) as unknown as grpc.Client & {
    DeltaSecrets(): grpc.ClientDuplexStream<object, Answer>;
  };
  const stream = client.DeltaSecrets();
  closing.push(() => client.close());
  const answers: Answer[] = [];
  stream.on('data', (answer: Answer) => answers.push(answer));
  stream.on('error', () => undefined);
  const ended = new Promise<number>((then) => stream.on('status', ({ code }) => then(code)));
  return {
    ask: (asked) => void stream.write({ node: { id: 'proxy' }, type_url: SECRET, ...asked }),
    takes(answer, why) {
      const detail = why === undefined ? {} : { error_detail: { code: 3, message: why } };
      stream.write({ type_url: SECRET, response_nonce: answer.nonce, ...detail });
    },
    async next() {
      await until(() => answers.length > 0);
      return answers.shift()!;
    },
    waiting: () => answers.length,
    ended,
    cancel: () => stream.cancel(),
  };
}

async function until(what: () => boolean): Promise<void> {
  const late = performance.now() + 20_000;
  while (!what()) {
    assert.ok(performance.now() < late, `not in time: ${what}`);
    await new Promise((then) => setTimeout(then, 10));
  }
}

const namesOf = ({ resources }: Answer): readonly string[] => resources.map(({ name }) => name).sort();
const childOf = (name: string) => [...daemon.workloads.children].find(({ entry }) => entry.name === name)!;
const domain = `spiffe://${node.trustDomain}`;

test('a proxy hears of what it asks for, then of what has become another one, and of nothing else', async () => {
  const proxy = delta();
  proxy.ask({ resource_names_subscribe: ['edge', 'inside', 'ROOTCA', 'nothing'] });
  const first = await proxy.next();
  assert.deepEqual(namesOf(first), ['ROOTCA', 'edge', 'inside']);
  // What is asked for by name and is not there, it is told, once.
  assert.deepEqual(first.removed_resources, ['nothing']);
  assert.equal(first.type_url, SECRET);
  assert.ok(first.resources.every(({ resource, version }) => resource.type_url === SECRET && version !== ''));
  proxy.takes(first);

  await childOf('planner').renew();
  const second = await proxy.next();
  assert.deepEqual([namesOf(second), second.removed_resources], [['edge'], []]);
  assert.notEqual(second.nonce, first.nonce);
  assert.notEqual(second.resources[0]!.version, first.resources.find(({ name }) => name === 'edge')!.version);
  proxy.takes(second);

  // Further names; one that it has already is sent again.
  proxy.ask({ resource_names_subscribe: [domain, 'edge'], resource_names_unsubscribe: ['inside'] });
  const third = await proxy.next();
  assert.deepEqual(namesOf(third), ['edge', domain].sort());
  await childOf('reader').renew();
  await childOf('planner').renew();
  const fourth = await proxy.next();
  assert.deepEqual(namesOf(fourth), ['edge'], 'of what it does not want any more it hears nothing');

  // One that refuses an answer gets the next, not the same again. An answer to an older one says nothing of the newest.
  proxy.takes(third);
  for (let n = 0; n < 3; n++) proxy.takes(fourth, `not today ${n}`);
  await until(() => said.some((line) => line.includes('not today')));
  assert.equal(proxy.waiting(), 0);
  await childOf('planner').renew();
  assert.deepEqual(namesOf(await proxy.next()), ['edge']);
  // Once for each answer.
  assert.equal(said.filter((line) => line.includes('not today')).length, 1);
  proxy.cancel();
});

test('a proxy that comes back is sent what is another one than it has', async () => {
  const before = delta();
  before.ask({ resource_names_subscribe: ['edge', 'inside', 'ROOTCA'] });
  const { resources } = await before.next();
  before.cancel();
  await childOf('reader').renew();
  const proxy = delta();
  const has = Object.fromEntries(resources.map(({ name, version }) => [name, version]));
  proxy.ask({
    resource_names_subscribe: ['edge', 'inside', 'ROOTCA', 'gone'],
    initial_resource_versions: { ...has, gone: 'x' },
  });
  const first = await proxy.next();
  assert.deepEqual([namesOf(first), first.removed_resources], [['inside'], ['gone']]);
  proxy.cancel();
});

test('all that there is: what is taken away is named, and what is asked for besides is told apart', async () => {
  const proxy = delta();
  proxy.ask({});
  const [planner, reader] = [childOf('planner').spiffeId, childOf('reader').spiffeId];
  const first = await proxy.next();
  assert.deepEqual(namesOf(first), [planner, reader, domain].sort());
  proxy.ask({ resource_names_subscribe: ['edge', reader] });
  assert.deepEqual(namesOf(await proxy.next()), ['edge', reader].sort());
  // Not by name any more: the one is there all the same, the other is not.
  proxy.ask({ resource_names_unsubscribe: ['edge', reader] });
  const third = await proxy.next();
  assert.deepEqual([namesOf(third), third.removed_resources], [[reader], ['edge']]);

  await daemon.verifier.ready(AbortSignal.timeout(20_000));
  await server.json('instance', 'stop', childOf('reader').instance, '--yes');
  const fourth = await proxy.next();
  assert.deepEqual([namesOf(fourth), fourth.removed_resources], [[], [reader]]);
  proxy.ask({ resource_names_unsubscribe: ['*'] });
  proxy.ask({ resource_names_subscribe: ['inside', 'edge'] });
  const fifth = await proxy.next();
  assert.deepEqual([namesOf(fifth), fifth.removed_resources], [['edge'], ['inside']]);
  await server.json('instance', 'stop', childOf('planner').instance, '--yes');
  assert.equal(await proxy.ended, grpc.status.PERMISSION_DENIED);
});

test('who asks for something else than secrets, or for too much, is told so', async () => {
  const other = delta();
  other.ask({ type_url: 'type.googleapis.com/envoy.config.cluster.v3.Cluster' });
  assert.equal(await other.ended, grpc.status.INVALID_ARGUMENT);
  const greedy = delta();
  greedy.ask({ resource_names_subscribe: Array.from({ length: 1001 }, (_, at) => `name-${at}`) });
  assert.equal(await greedy.ended, grpc.status.RESOURCE_EXHAUSTED);
  const endless = delta();
  endless.ask({ resource_names_subscribe: ['x'.repeat(2049)] });
  assert.equal(await endless.ended, grpc.status.RESOURCE_EXHAUSTED);
  // What is let go of beside all there is, is told once the reader takes it: who never reads makes no more of that than of names.
  const restless = delta();
  const names = Array.from({ length: 1001 }, (_, at) => `name-${at}`);
  restless.ask({ resource_names_subscribe: ['*', ...names], resource_names_unsubscribe: names });
  assert.equal(await restless.ended, grpc.status.RESOURCE_EXHAUSTED);
});
