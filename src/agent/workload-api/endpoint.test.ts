/** What one user of a machine can take of the endpoint, and what is left for others. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { GrpcClient } from '../../grpc/client.ts';
import { openCodecs } from '../../grpc/codec.ts';
import { methodPath } from '../../grpc/proto.ts';
import { serverStream } from '../../grpc/server-method.ts';
import { WORKLOAD_FILE, x509SvidRequest, x509SvidResponse } from '../../sdk/workload-api/messages.ts';
import { openNative } from '../process/native.ts';
import { type CallerProcess, ProcessTable } from '../process/table.ts';
import { connectionsWithin, Endpoint } from './endpoint.ts';

const scratch = mkdtempSync(join(tmpdir(), 'writ-endpoint-'));
const codecs = openCodecs(WORKLOAD_FILE);
const shape = {
  path: methodPath(WORKLOAD_FILE, 'FetchX509SVID'),
  request: codecs.of(x509SvidRequest),
  response: codecs.of(x509SvidResponse),
};
const endpoint = new Endpoint(
  {
    processes: new ProcessTable(openNative()),
    // Says one thing, and nothing more for as long as it is listened to.
    methods: [
      serverStream<CallerProcess, object, object>({
        ...shape,
        handle: (_asked, answers) => answers.send({ svids: [] }),
      }),
    ],
    ...{ files: [WORKLOAD_FILE], services: [], failed: assert.ifError, refused: assert.ifError },
  },
  { perCaller: 3, all: 3 },
);
const path = join(scratch, 'api.sock');
const server = createServer((socket) => endpoint.accept(socket)).listen(path);
await once(server, 'listening');
after(async () => {
  await endpoint.close();
  server.close();
  rmSync(scratch, { recursive: true, force: true });
});

const client = (): GrpcClient => new GrpcClient({ authority: 'http://localhost', connect: () => connect(path) });

test('a user has so many calls open, over however many connections, and others again when some are over', async () => {
  const clients = Array.from({ length: 4 }, client);
  const open = [];
  for (const one of clients.slice(0, 3)) {
    const call = one.serverStream(shape, {});
    assert.equal((await call.messages().next()).done, false);
    open.push(call);
  }
  const further = clients[3]!;
  const refused = further.serverStream(shape, {});
  assert.deepEqual(await refused.status, {
    code: 'unavailable',
    message: 'Too many calls are open here. Try again later.',
  });
  clients[0]!.close();
  let last = await refused.status;
  for (const late = performance.now() + 20_000; last.code !== 'ok' && performance.now() < late; ) {
    const again = further.serverStream(shape, {});
    const first = await again.messages().next();
    if (first.done === false) last = { code: 'ok', message: '' };
    else last = await again.status;
  }
  assert.equal(last.code, 'ok');
  for (const one of clients) one.close();
});

test('a connection that nobody can be held to is told of, and closed', async (context) => {
  const told: object[] = [];
  const nobody = new Endpoint({
    processes: {
      accept: () => undefined,
      refusalOf: () => ({ uid: 1000, fault: 'other-namespace' }),
    } as unknown as ProcessTable,
    ...{ methods: [], files: [], services: [], failed: assert.ifError, refused: (refusal) => void told.push(refusal) },
  });
  const at = join(scratch, 'nobody.sock');
  const listener = createServer((socket) => nobody.accept(socket)).listen(at);
  context.after(() => {
    listener.close();
    return nobody.close();
  });
  await once(listener, 'listening');
  await once(connect(at).resume(), 'close');
  assert.deepEqual(told, [{ uid: 1000, fault: 'other-namespace' }]);
});

test('there are no more connections than descriptors for them, of which a user gets half at most', () => {
  for (const [files, wanted] of [
    [Number.MAX_SAFE_INTEGER, { perCaller: 16_384, all: 65_536 }],
    [262_144, { perCaller: 16_384, all: 65_536 }],
    [4096, { perCaller: 992, all: 1984 }],
    [1024, { perCaller: 224, all: 448 }],
    [64, { perCaller: 1, all: 2 }],
  ] as const) {
    assert.deepEqual(connectionsWithin(files), wanted, String(files));
  }
});
