/** The feed of a running server over gRPC: our own client, and the same bounds and cut-offs as over HTTP/1.1. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { loadSync } from '@grpc/proto-loader';
import { revoked, until } from '../../../test/feed.ts';
import { testServer } from '../../../test/server.ts';
import { type ClientCall, type ClientMethod, GrpcClient } from '../../grpc/client.ts';
import { fileDescriptor, openCodecs } from '../../grpc/codec.ts';
import { DEFAULT_GRPC_LIMITS } from '../../grpc/limits.ts';
import { type MessageType, methodPath } from '../../grpc/proto.ts';
import { connect } from '../../sdk/enrolment/connect.ts';
import { FeedSignatures } from '../../sdk/feed/signatures.ts';
import type { Identity } from '../../sdk/identity/identity.ts';
import { machineClock } from '../../sdk/machine-clock.ts';
import { createVerifier } from '../../sdk/verifier/verifier.ts';
import type { FeedStatement } from '../../wire/feed-statement.ts';
import * as messages from './messages.ts';

const server = await testServer({ args: ['--threads', '2'] });
const reader = await connect({ token: await server.token('reader', 'service') });
const closing: (() => void)[] = [() => reader.close()];
after(() => {
  for (const close of closing) close();
});

const codecs = openCodecs(messages.FEED_FILE);
function method<Q, A>(name: string, request: MessageType<Q>, response: MessageType<A>): ClientMethod<Q, A> {
  return {
    path: methodPath(messages.FEED_FILE, name),
    request: codecs.of(request),
    response: codecs.of(response),
  };
}
const follow = method('Follow', messages.followRequest, messages.followResponse);
const list = method('ListEntries', messages.listEntriesRequest, messages.listEntriesResponse);
const listSigned = method('ListSignedEntries', messages.listEntriesRequest, messages.signed);
const getTime = method('GetTime', messages.getTimeRequest, messages.signed);
const acknowledge = method('Acknowledge', messages.acknowledgeRequest, messages.acknowledgeResponse);
const effect = method('GetEffect', messages.getEffectRequest, messages.effect);

function clientOf(identity: Identity, options: object = {}): GrpcClient {
  const url = new URL(server.api);
  const client = new GrpcClient({
    authority: server.api,
    limits: { ...DEFAULT_GRPC_LIMITS, message: 4 * 1024 * 1024 },
    connect: () =>
      connectTls({
        ...{ host: url.hostname, port: Number(url.port), ALPNProtocols: ['h2'] },
        ...identity.clientOptions({ allow: 'writ/server' }),
        ...options,
      }),
  });
  closing.push(() => client.close());
  return client;
}

interface Stream {
  readonly call: ClientCall<messages.FollowRequest, messages.FollowResponse>;
  readonly events: messages.FollowResponse[];
}

function read(client: GrpcClient, request: messages.FollowRequest = {}): Stream {
  const call = client.serverStream(follow, request);
  const events: messages.FollowResponse[] = [];
  void (async () => {
    for await (const event of call.messages()) events.push(event);
  })();
  return { call, events };
}

function entriesOf({ events }: Stream) {
  return events.flatMap(({ entries }) => entries?.entries ?? []);
}

test('the published file says what is served', () => {
  const path = join(import.meta.dirname, '../../../proto/writ/feed/v1/feed.proto');
  assert.match(readFileSync(path, 'utf8'), /^package writ\.feed\.v1;$/m);
  const loaded = loadSync(path, { keepCase: true });
  const some = Object.values(loaded).find((one) => 'fileDescriptorProtos' in one);
  const theirs = (some as { fileDescriptorProtos: Buffer[] }).fileDescriptorProtos
    .map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes))
    .find((file) => file.package === 'writ.feed.v1')!;
  const plain = (file: typeof theirs): unknown => [
    Object.fromEntries(
      file.messageType.map(({ name, field }) => [
        name,
        field
          .map((one) => [one.number, one.name, one.type, one.label, one.typeName.split('.').at(-1), one.oneofIndex])
          .sort((a, b) => Number(a[0]) - Number(b[0])),
      ]),
    ),
    file.enumType.map(({ name, value }) => ({ name, values: value.map((one) => [one.name, one.number]) })),
  ];
  assert.deepEqual(plain(fileDescriptor(messages.FEED_FILE)), plain(theirs));
  const { name, methods } = messages.FEED_FILE.service;
  const service = loaded[`writ.feed.v1.${name}`] as Record<string, { responseStream: boolean; requestStream: boolean }>;
  assert.deepEqual(
    Object.entries(service).map(([one, { requestStream, responseStream }]) => [one, requestStream, responseStream]),
    methods.map((one) => [one.name, false, one.streams === 'response']),
  );
});

test('hello, entries in the order of the log, a heartbeat each second; resumed without a gap', async () => {
  const client = clientOf(reader);
  const whole = read(client);
  await until(() => whole.events.filter(({ heartbeat }) => heartbeat !== undefined).length >= 3, 4000);
  const { hello } = whole.events[0]!;
  assert.ok(hello !== undefined && hello.log === 1 && hello.as_of > 0 && hello.time >= hello.as_of);
  const serials = [await revoked(server), await revoked(server), await revoked(server)];
  await until(() => entriesOf(whole).length >= 3);
  assert.deepEqual(
    entriesOf(whole).map(({ subjects }) => subjects[0]),
    serials.map((serial) => `serial:${serial}`),
  );
  const [first, ...later] = entriesOf(whole);
  assert.equal(first!.effect, 'stop');
  const resumed = read(client, { after: { log: 1, position: first!.position } });
  await until(() => entriesOf(resumed).length === 2);
  assert.deepEqual(entriesOf(resumed), later);
  // From another log nothing can be resumed: the pages have what is in force.
  const other = read(client, { after: { log: 2, position: first!.position } });
  assert.equal((await other.call.status).code, 'ok');
  assert.ok(other.events.at(-1)?.behind !== undefined);
  const page = await client.unary(list, { after: 0 });
  assert.ok(page.ok && page.message.complete && page.message.log === 1);
  const known = page.message.entries.map(({ subjects }) => subjects[0]);
  for (const serial of serials) assert.ok(known.includes(`serial:${serial}`));
});

test('it says what HTTP/1.1 says', async () => {
  const rest = await (await reader.fetch({ allow: 'writ/server' })(`${server.api}/v1/feed/entries`)).json();
  const page = await clientOf(reader).unary(list, { after: 0 });
  assert.ok(page.ok);
  // Protocol Buffers know no list that is absent.
  const entries = page.message.entries.map(({ also, ...entry }) => (also?.length === 0 ? entry : { ...entry, also }));
  assert.deepEqual({ ...page.message, entries }, rest);
});

test('a relay gets it signed: heartbeats, entries without a gap, pages and the time', async () => {
  const client = clientOf(reader);
  const signatures = new FeedSignatures({ identity: reader, clock: machineClock, fallen: () => undefined });
  const whole = read(client, { signed: true });
  const said = (): FeedStatement[] =>
    whole.events.flatMap(({ signed }) => (signed === undefined ? [] : [signatures.read(signed)]));
  await until(() => said().length > 0);
  const first = said()[0]!;
  assert.ok(first.kind === 'state' && whole.events[0]!.hello?.position === first.position);
  const serials = [await revoked(server), await revoked(server)];
  await until(() => said().filter(({ kind }) => kind === 'entries').length === 2);
  let place = first.position;
  for (const one of said()) {
    if (one.kind !== 'entries') continue;
    assert.equal(one.after, place);
    place = one.position;
    assert.deepEqual(one.entries[0]!.subjects, [`serial:${serials.shift()}`]);
  }
  assert.ok(whole.events.every(({ entries, heartbeat }) => entries === undefined && heartbeat === undefined));
  const page = await client.unary(listSigned, { after: first.position });
  assert.ok(page.ok);
  const told = signatures.read(page.message);
  assert.ok(told.kind === 'page' && told.after === first.position && told.complete && told.entries.length === 2);
  const nonces = ['Zk3v9Qm2bT8xW1nLc0aPdg'];
  const time = await client.unary(getTime, { nonces });
  assert.ok(time.ok);
  const now = signatures.read(time.message);
  assert.ok(now.kind === 'time' && Math.abs(now.time - Date.now()) < 5000);
  assert.deepEqual(now.nonces, nonces);
  const refused = await client.unary(getTime, { nonces: ['short'] });
  assert.equal(refused.ok ? 'ok' : refused.status.code, 'invalid_argument');
});

test('points acknowledge over either protocol, and none for another', async () => {
  const client = clientOf(reader);
  const other = createVerifier({ identity: reader, mode: 'strict', point: 'over-http' });
  closing.push(() => other.close());
  await other.ready(AbortSignal.timeout(5000));
  const stream = read(client, { point: 'over-grpc' });
  await until(() => stream.events.length > 0);
  const stranger = await connect({ token: await server.token('stranger') });
  closing.push(() => stranger.close());
  const subject = `serial:${await revoked(server)}`;
  await until(() => entriesOf(stream).length === 1);
  const acks = { point: 'over-grpc', log: 1, acks: [{ position: entriesOf(stream)[0]!.position }] };
  assert.ok((await clientOf(stranger).unary(acknowledge, acks)).ok);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const before = await client.unary(effect, { subject });
  assert.deepEqual(before.ok && [before.message.points, before.message.acknowledged], [2, 1]);
  assert.ok((await client.unary(acknowledge, acks)).ok);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const later = await client.unary(effect, { subject });
  assert.deepEqual(later.ok && [later.message.points, later.message.acknowledged], [2, 2]);
});

test('whoever is stopped has his stream cut and is let in no more; others go on', async () => {
  const victim = await connect({ token: await server.token('victim') });
  const client = clientOf(victim);
  const [his, ours] = [read(client), read(clientOf(reader))];
  await until(() => his.events.length > 1 && ours.events.length > 1);
  const begun = performance.now();
  await server.json('instance', 'stop', victim.spiffeId.split('/').at(-1)!, '--yes');
  assert.equal((await his.call.status).code, 'unauthenticated');
  assert.ok(performance.now() - begun < 2000);
  // Over the connection that was good when it was opened.
  const again = await client.unary(list, { after: 0 });
  assert.equal(again.ok ? 'ok' : again.status.code, 'permission_denied');
  victim.close();
  assert.ok(entriesOf(ours).length > 0);
});

test('nobody comes in without a certificate, and nothing but gRPC is served', async () => {
  const nobody = clientOf(reader, { key: undefined, cert: undefined });
  const refused = await nobody.unary(list, { after: 0 });
  assert.equal(refused.ok ? 'ok' : refused.status.code, 'unauthenticated');
  const client = clientOf(reader);
  for (const [request, code] of [
    [{ point: 'a b' }, 'invalid_argument'],
    [{ point: 'x'.repeat(65) }, 'invalid_argument'],
  ] as const) {
    assert.equal((await read(client, request).call.status).code, code);
  }
  const missing = await client.unary(effect, { subject: 'agent:nobody' });
  assert.match(
    missing.ok ? '' : `${missing.status.code} ${missing.status.message}`,
    /^not_found not_found: No recent stop/,
  );
  const rest = await client.unary({ ...list, path: '/v1/agents' }, { after: 0 });
  assert.equal(rest.ok ? 'ok' : rest.status.code, 'unimplemented');
});

test('who offers both protocols stays with HTTP/1.1, who offers another gets none', async () => {
  const url = new URL(server.api);
  const agreed = (protocols: string[]): Promise<string | false | null> =>
    new Promise((resolve, reject) => {
      const socket = connectTls({
        ...{ host: url.hostname, port: Number(url.port), ALPNProtocols: protocols },
        ...reader.clientOptions({ allow: 'writ/server' }),
      });
      socket.once('secureConnect', () => {
        resolve(socket.alpnProtocol);
        socket.destroy();
      });
      socket.once('error', reject);
    });
  assert.equal(await agreed(['h2', 'http/1.1']), 'http/1.1');
  assert.equal(await agreed(['h2']), 'h2');
  await assert.rejects(agreed(['spdy/3']));
});

test('one caller has no more streams than over HTTP/1.1', async () => {
  const crowd = await connect({ token: await server.token('crowd') });
  closing.push(() => crowd.close());
  const client = clientOf(crowd);
  const streams = Array.from({ length: 80 }, () => read(client));
  const refused: string[] = [];
  for (const { call } of streams) void call.status.then(({ code }) => refused.push(code));
  await until(() => streams.filter(({ events }) => events.length > 0).length === 64 && refused.length === 16);
  assert.deepEqual(new Set(refused), new Set(['resource_exhausted']));
});

test('a stop of the server ends all streams at once, in order', async () => {
  const stream = read(clientOf(reader));
  await until(() => stream.events.length > 1);
  const begun = performance.now();
  const [status] = await Promise.all([stream.call.status, server.stop()]);
  assert.equal(status.code, 'ok');
  assert.ok(performance.now() - begun < 5000, `${performance.now() - begun} ms`);
});
