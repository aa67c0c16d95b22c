/**
 * A process that does what it is told, by a foreign gRPC client with the published files: each line on its input is an object
 * with `present` (a runtime), `watch` (opens the stream of X.509-SVIDs), `plain` (presents without the static metadata) or
 * `become` (runs another program from then on). It says a line for each answer.
 */
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { header, type WorkloadStub, workloadStub } from './client.ts';

interface Told {
  readonly present?: object;
  readonly plain?: object;
  readonly watch?: true;
  readonly become?: string;
}

const [path] = process.argv.slice(2) as [string];
const say = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`);
const PROTO = resolve(import.meta.dirname, '../../../proto');

type Present = (
  asked: object,
  metadata: grpc.Metadata,
  done: (error: grpc.ServiceError | null, answer: object) => void,
) => void;

const loaded = grpc.loadPackageDefinition(
  loadSync('writ/workload/v1/runtime.proto', { keepCase: true, includeDirs: [PROTO] }),
) as unknown as { writ: { workload: { v1: { AgentRuntime: grpc.ServiceClientConstructor } } } };
const options = { 'grpc.use_local_subchannel_pool': 1 };
const runtime = new loaded.writ.workload.v1.AgentRuntime(`unix://${path}`, grpc.credentials.createInsecure(), options);
const workload: WorkloadStub = workloadStub(path);

function present(said: object, metadata: grpc.Metadata): void {
  (runtime as unknown as { PresentRuntime: Present }).PresentRuntime({ runtime: said }, metadata, (error) =>
    say({ presented: error === null ? 'ok' : grpc.status[error.code] }),
  );
}

function watch(): void {
  const stream = workload.FetchX509SVID({}, header());
  stream.on('data', ({ svids }: { svids: { spiffe_id: string }[] }) => say({ ids: svids.map((one) => one.spiffe_id) }));
  stream.on('error', () => undefined);
  stream.on('status', ({ code }) => say({ status: grpc.status[code] }));
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const told = JSON.parse(line) as Told;
  if (told.present !== undefined) present(told.present, header());
  if (told.plain !== undefined) present(told.plain, header({}));
  if (told.watch === true) watch();
  if (told.become !== undefined) process.execve!(told.become, [told.become, '60'], {});
});
say({ pid: process.pid });
