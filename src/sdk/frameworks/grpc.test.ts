/** grpc-js at both ends: rotation, who is let through, and calls under way of whoever is stopped. */
import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { after, test } from 'node:test';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { until } from '../../../test/feed.ts';
import { testServer } from '../../../test/server.ts';
import { connect } from '../enrolment/connect.ts';
import type { AnyIdentity } from '../identity/any-identity.ts';
import type { Identity } from '../identity/identity.ts';
import { createVerifier } from '../verifier/verifier.ts';
import { grpcCertificates, grpcChannelCredentials, grpcGuard, grpcPeer, grpcServerCredentials } from './grpc.ts';

const server = await testServer();
const closing: (() => unknown)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});

async function instance(name: string, kind: 'agent' | 'service' = 'agent'): Promise<Identity> {
  const identity = await connect({ token: await server.token(name, kind) });
  closing.push(() => identity.close());
  return identity;
}

const books = await instance('books', 'service');
const verifier = createVerifier({ identity: books, mode: 'strict' });
closing.push(() => verifier.close());
await verifier.ready(AbortSignal.timeout(10_000));

// Any service will do; the published file of the Workload API has both kinds of calls.
const file = resolve(import.meta.dirname, '../../../proto/spiffe/workload/workload.proto');
const loaded = grpc.loadPackageDefinition(loadSync(file, { keepCase: true, defaults: true }));
const Service = loaded['SpiffeWorkloadAPI'] as grpc.ServiceClientConstructor;

/** Says who calls, once or until the call ends. */
const listener = new grpc.Server({ interceptors: [grpcGuard(grpc, verifier, { allow: 'agent/planner/*' })] });
let under = 0;
listener.addService(Service.service, {
  FetchJWTSVID: (call: grpc.ServerUnaryCall<unknown, unknown>, done: grpc.sendUnaryData<unknown>) =>
    done(null, { svids: [{ spiffe_id: grpcPeer(call)?.uri, svid: serialOf(call) }] }),
  FetchX509SVID: (call: grpc.ServerWritableStream<unknown, unknown>) => {
    under += 1;
    call.write({ svids: [{ spiffe_id: grpcPeer(call)?.uri }] });
  },
});
const serialOf = (call: grpc.ServerUnaryCall<unknown, unknown>): string =>
  call.getAuthContext()!.sslPeerCertificate!.serialNumber.toLowerCase();
const port = await new Promise<number>((then, fail) => {
  const credentials = grpcServerCredentials(grpc, books);
  listener.bindAsync('localhost:0', credentials, (error, bound) => (error === null ? then(bound) : fail(error)));
});
closing.push(() => listener.forceShutdown());

interface Stub extends grpc.Client {
  FetchJWTSVID(asked: object, done: (error: grpc.ServiceError | null, answer: Answer) => void): void;
  FetchX509SVID(asked: object): grpc.ClientReadableStream<Answer>;
}

type Answer = { readonly svids: readonly { readonly spiffe_id: string; readonly svid: string }[] };

function stub(identity: AnyIdentity, allow = 'service/books/*', guarded = false): Stub {
  const credentials = grpcChannelCredentials(grpc, identity, { allow, ...(guarded ? { verifier } : {}) });
  const options = { 'grpc.use_local_subchannel_pool': 1 };
  const made = new Service(`localhost:${port}`, credentials, options) as unknown as Stub;
  closing.push(() => made.close());
  return made;
}

const ask = (from: Stub): Promise<Answer['svids'][0]> =>
  new Promise((then, fail) => {
    from.FetchJWTSVID({}, (error, answer) => (error === null ? then(answer.svids[0]!) : fail(error)));
  });
const codeOf = (wanted: grpc.status) => (error: unknown) => (error as grpc.ServiceError).code === wanted;

test('a call over mutual TLS says who calls; each new connection shows the newest certificate', async () => {
  const planner = await instance('planner');
  const said = await ask(stub(planner, 'service/books/*', true));
  assert.deepEqual([said.spiffe_id, said.svid], [planner.spiffeId, planner.credential.serial]);
  const kept = stub(planner);
  assert.equal((await ask(kept)).svid, planner.credential.serial);
  const before = planner.credential.serial;
  await planner.renew();
  await books.renew();
  assert.equal((await ask(kept)).svid, before);
  assert.equal((await ask(stub(planner))).svid, planner.credential.serial);
  assert.notEqual(planner.credential.serial, before);
});

test('who is not allowed is refused, at either end', async () => {
  const reader = await instance('reader');
  await assert.rejects(ask(stub(reader)), codeOf(grpc.status.PERMISSION_DENIED));
  await assert.rejects(ask(stub(await instance('planner'), 'service/bank/*')), codeOf(grpc.status.UNAVAILABLE));
});

test('whoever is stopped is refused, and the calls under way end', async () => {
  const planner = await instance('planner');
  const from = stub(planner);
  const stream = from.FetchX509SVID({});
  const [begun, ended] = [under, new Promise<number>((then) => stream.on('status', ({ code }) => then(code)))];
  stream.on('data', () => {});
  stream.on('error', () => {});
  await until(() => under === begun + 1);
  assert.equal((await ask(from)).spiffe_id, planner.spiffeId);
  await server.json('instance', 'stop', planner.spiffeId.split('/').at(-1)!, '--cause', 'key_theft', '--yes');
  assert.equal(await ended, grpc.status.PERMISSION_DENIED);
  await assert.rejects(ask(from), codeOf(grpc.status.PERMISSION_DENIED));
});

test('a certificate that names nobody lets nobody in', () => {
  assert.equal(grpcPeer({ getAuthContext: () => null }), undefined);
  assert.equal(grpcPeer({ getAuthContext: () => ({}) }), undefined);
  assert.equal(grpcPeer({ getAuthContext: () => ({ sslPeerCertificate: { raw: Buffer.from('x') } }) }), undefined);
  assert.deepEqual(verifier.authorizeCertificate(Buffer.from('x')), { allowed: false, reason: 'no_identity' });
});

test('an identity is followed only while somebody listens', async () => {
  const planner = await instance('planner');
  const certificates = grpcCertificates(planner);
  const seen: string[] = [];
  const listen = (update: { readonly certificate: Buffer } | null): void =>
    void seen.push(update === null ? '' : String(update.certificate));
  certificates.addIdentityCertificateListener(listen);
  await planner.renew();
  await until(() => seen.length === 2);
  assert.ok(seen[1]!.startsWith(planner.credential.certificate));
  assert.equal(planner.listenerCount('renewed'), 1);
  certificates.removeIdentityCertificateListener(listen);
  assert.equal(planner.listenerCount('renewed'), 0);
});
