/**
 * A process that calls: `caller.ts SOCKET` asks for its X.509-SVIDs and says each message and the end as a JSON line.
 * `caller.ts SOCKET hand-over` connects, starts another process that goes on with the very connection, and then waits for a
 * line on its input before it ends; the other one asks when it is told to by a file.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { connect, Socket } from 'node:net';
import { GrpcClient } from '../../grpc/client.ts';
import { openCodecs } from '../../grpc/codec.ts';
import { DEFAULT_GRPC_LIMITS } from '../../grpc/limits.ts';
import { descriptorOf } from '../workload-api/endpoint.ts';
import { WORKLOAD_FILE, x509SvidRequest, x509SvidResponse } from '../../sdk/workload-api/messages.ts';

const [path, how, file] = process.argv.slice(2) as [string, string?, string?];
const say = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`);

async function ask(socket: Socket): Promise<void> {
  const codecs = openCodecs(WORKLOAD_FILE);
  const client = new GrpcClient({
    authority: 'http://localhost',
    connect: () => socket,
    limits: { ...DEFAULT_GRPC_LIMITS, message: 1 << 20 },
    metadata: { 'workload.spiffe.io': 'true' },
  });
  const call = client.serverStream(
    {
      path: '/SpiffeWorkloadAPI/FetchX509SVID',
      request: codecs.of(x509SvidRequest),
      response: codecs.of(x509SvidResponse),
    },
    {},
  );
  for await (const { svids } of call.messages()) say({ pid: process.pid, ids: svids.map(({ spiffe_id }) => spiffe_id) });
 say({ pid: process.pid, status: (await call.status).code });
  client.close();
}

if (how === 'take-over') {
  const socket = new Socket({ fd: 3, readable: true, writable: true });
  while (!existsSync(file!)) await new Promise((then) => setTimeout(then, 5));
  await ask(socket);
} else {
  const socket = connect(path);
  // What the daemon says first is for whoever goes on with the connection.
  if (how === 'hand-over') socket.pause();
  await new Promise((then) => socket.once('connect', then));
  if (how === 'hand-over') {
    const child = spawn(process.execPath, [import.meta.filename, path, 'take-over', file!], {
      stdio: ['ignore', 'inherit', 'inherit', descriptorOf(socket)!],
      detached: true,
    });
    say({ pid: process.pid, child: child.pid });
    process.stdin.once('data', () => process.exit(0));
  } else await ask(socket);
}
