/** The feed over gRPC, read by clients that nobody here wrote, from the published .proto file. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { connect } from '../../src/sdk/enrolment/connect.ts';
import { pemOf } from '../../src/sdk/identity/credential.ts';
import type { Identity } from '../../src/sdk/identity/identity.ts';
import { testServer } from '../server.ts';
import { go, pathOf, skipOf } from './tools.ts';

const PROTO = resolve(import.meta.dirname, '../../proto');
const server = await testServer();
const closing: (() => void)[] = [];
after(() => {
  for (const close of closing.reverse()) close();
});

async function identity(name: string, kind: 'agent' | 'service' = 'agent'): Promise<Identity> {
  const made = await connect({ token: await server.token(name, kind) });
  closing.push(() => made.close());
  return made;
}

/** Revokes the certificate of an instance made for it; gives how the feed names it. */
async function revoked(): Promise<string> {
  const { serial } = (await identity('victim')).credential;
  await server.json('cert', 'revoke', serial, '--cause', 'key_theft');
  return `serial:${serial}`;
}

async function until<T>(what: () => T | undefined | false, ms = 15_000): Promise<T> {
  const late = performance.now() + ms;
  for (;;) {
    const found = what();
    if (found !== undefined && found !== false) return found;
    assert.ok(performance.now() < late, `not within ${ms} ms: ${what}`);
    await new Promise((then) => setTimeout(then, 5));
  }
}

/** Waits until so many points have acknowledged the stop of a subject, of so many. Threads tell each other in turns. */
async function acknowledgedBy(reader: Identity, subject: string, count: number, of: number): Promise<void> {
  const url = `${server.api}/v1/feed/effect?subject=${subject}`;
  const fetch = reader.fetch({ allow: 'writ/server' });
  let said = '';
  for (let i = 0; i < 200; i++) {
    said = await (await fetch(url)).text();
    const { points, acknowledged } = JSON.parse(said) as { points?: number; acknowledged?: number };
    if (points === of && acknowledged === count) return;
    await new Promise((then) => setTimeout(then, 10));
  }
  assert.fail(said);
}

interface Entry {
  readonly position: number | string;
  readonly effect: string;
  readonly subjects: readonly string[];
}

interface Event {
  readonly hello?: { readonly log: number; readonly position: number };
  readonly entries?: { readonly entries: readonly Entry[] };
  readonly heartbeat?: object;
}

type Unary<Q, A> = (asked: Q, done: (error: grpc.ServiceError | null, answer: A) => void) => void;

interface Stub extends grpc.Client {
  Follow(asked: object): grpc.ClientReadableStream<Event>;
  readonly ListEntries: Unary<{ after: number }, { readonly entries: readonly Entry[]; readonly complete: boolean }>;
  readonly Acknowledge: Unary<object, object>;
}

function stubOf(of: Identity): Stub {
  const options = { keepCase: true, longs: Number, enums: String };
  const loaded = grpc.loadPackageDefinition(
    loadSync('writ/feed/v1/feed.proto', { ...options, includeDirs: [PROTO] }),
  ) as unknown as { writ: { feed: { v1: { RevocationFeed: grpc.ServiceClientConstructor } } } };
  const { key, chain } = pemOf(of.credential);
  const check = of.clientOptions({ allow: 'writ/server' }).checkServerIdentity!;
  const credentials = grpc.credentials.createSsl(
    Buffer.from(of.credential.roots.join('')),
    ...[Buffer.from(key), Buffer.from(chain)],
    { checkServerIdentity: (host, peer) => check(host, peer as Parameters<typeof check>[1]) },
  );
  const stub = new loaded.writ.feed.v1.RevocationFeed(new URL(server.api).host, credentials, {
    // It names the server in the handshake by its address otherwise, which TLS does not know.
    'grpc.ssl_target_name_override': 'localhost',
  });
  closing.push(() => stub.close());
  return stub as unknown as Stub;
}

function call<Q, A>(stub: Stub, method: Unary<Q, A>, asked: Q): Promise<A> {
  return new Promise((then, fail) => {
    method.call(stub, asked, (error, answer) => (error === null ? then(answer) : fail(error)));
  });
}

function follow(
  stub: Stub,
  asked: object,
): { events: Event[]; ended: () => grpc.ServiceError | 'ok' | undefined; cancel: () => void } {
  const events: Event[] = [];
  let ended: grpc.ServiceError | 'ok' | undefined;
  const stream = stub.Follow(asked);
  stream.on('data', (event: Event) => events.push(event));
  stream.on('error', (error) => {
    ended ??= error as grpc.ServiceError;
  });
  stream.on('end', () => {
    ended ??= 'ok';
  });
  return { events, ended: () => ended, cancel: () => stream.cancel() };
}

function entriesOf(events: readonly Event[]): Entry[] {
  return events.flatMap(({ entries }) => entries?.entries ?? []);
}

test('grpc-js reads the feed, acknowledges, resumes without a gap, and is cut off when it is stopped', async () => {
  const reader = await identity('reader', 'service');
  const stub = stubOf(reader);
  const before = await revoked();
  const page = await call(stub, stub.ListEntries, { after: 0 });
  assert.ok(page.complete && page.entries.some(({ subjects }) => subjects.includes(before)));
  const first = follow(stub, { point: 'grpc-js' });
  const { log } = await until(() => first.events[0]?.hello);
  await until(() => first.events.some(({ heartbeat }) => heartbeat !== undefined));
  const subjects = [await revoked(), await revoked()];
  await until(() => entriesOf(first.events).length === 2);
  const [one, two] = entriesOf(first.events);
  assert.deepEqual([one!.subjects[0], two!.subjects[0]], subjects);
  assert.equal(one!.effect, 'EFFECT_KIND_STOP');
  await acknowledgedBy(reader, subjects[1]!, 0, 1);
  await call(stub, stub.Acknowledge, { point: 'grpc-js', log, acks: [{ position: two!.position }] });
  await acknowledgedBy(reader, subjects[1]!, 1, 1);
  const resumed = follow(stub, { after: { log, position: one!.position } });
  await until(() => entriesOf(resumed.events).length === 1);
  assert.deepEqual(entriesOf(resumed.events), [two]);

  const doomed = await identity('doomed');
  const his = follow(stubOf(doomed), {});
  await until(() => his.events.length > 1);
  await server.json('instance', 'stop', doomed.spiffeId.split('/').at(-1)!, '--yes');
  const status = await until(his.ended);
  assert.equal(status === 'ok' ? 0 : status.code, grpc.status.UNAUTHENTICATED);
  for (const one of [first, resumed]) one.cancel();
  await until(() => first.ended() !== undefined);
});

const GO = go();
test('so does Go’s client', { skip: skipOf(GO), timeout: 300_000 }, async () => {
  const reader = await identity('gopher', 'service');
  const files = { roots: reader.credential.roots.join(''), ...pemOf(reader.credential) };
  const at = (name: string): string => join(server.scratch, `gopher-${name}.pem`);
  for (const [name, text] of Object.entries(files)) writeFileSync(at(name), text, { mode: 0o600 });
  const program = join(server.scratch, 'feed');
  const folder = join(import.meta.dirname, 'go-grpc');
  execFileSync(pathOf(GO), ['build', '-o', program, '.'], { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] });

  const start = (...place: string[]): { lines: Line[]; running: ChildProcess } => {
    const id = `spiffe://${reader.trustDomain}/writ/server`;
    const args = [PROTO, new URL(server.api).host, at('roots'), at('chain'), at('key'), id, 'go', ...place];
    const running = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    closing.push(() => running.kill());
    const lines: Line[] = [];
    createInterface({ input: running.stdout! }).on('line', (line) => lines.push(JSON.parse(line) as Line));
    return { lines, running };
  };
  const first = start();
  const hello = await until(() => first.lines.find(({ kind }) => kind === 'hello'));
  assert.ok(first.lines.some(({ kind, value }) => kind === 'page' && value.entries!.length > 0));
  const subjects = [await revoked(), await revoked()];
  await until(() => first.lines.filter(({ kind }) => kind === 'acknowledged').length === 2);
  const seen = first.lines.flatMap(({ kind, value }) => (kind === 'entries' ? value.entries! : []));
  assert.deepEqual(
    seen.map((entry) => entry.subjects[0]),
    subjects,
  );
  await acknowledgedBy(reader, subjects[1]!, 1, 1);
  first.running.kill();
  const second = start(hello.value.log!, String(seen[0]!.position));
  const missed = await until(() => second.lines.find(({ kind }) => kind === 'entries'));
  assert.deepEqual(missed.value.entries, seen.slice(1));
});

interface Line {
  readonly kind: string;
  readonly value: { readonly log?: string; readonly entries?: readonly Entry[] };
}
