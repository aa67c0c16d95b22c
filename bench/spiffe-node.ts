import { mkdirSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { AGENT_FLAGS, NODE_FLAGS, SERVER_ENVIRONMENT } from '../bin/node-flags.js';
import { GrpcClient } from '../src/grpc/client.ts';
import { DEFAULT_GRPC_LIMITS } from '../src/grpc/limits.ts';
import { connect as enrol } from '../src/sdk/enrolment/connect.ts';
import type { Credential } from '../src/sdk/identity/credential.ts';
import { startServer } from '../test/program.ts';
import { newToken, openOperator, register } from './operator.ts';
import { type Running, run } from './process.ts';

/** A server, and a machine that was let in there. */
export interface Node {
  /** Process of the server. */
  readonly server: number;
  /** A further `writ agent run`, as a machine of its own. */
  daemon(): Promise<Daemon>;
  /** The certificate of a further machine, which nobody renews. */
  credential(): Promise<Credential>;
  /** Lets all processes of this user in, once more than before. */
  addEntry(): Promise<void>;
  close(): Promise<void>;
}

export interface Daemon extends Running {
  readonly socket: string;
}

/** One node stands for many here: what would hold back a program in a loop is not to be measured. */
const UNLIMITED = { perSecond: 1_000_000, burst: 1_000_000 };
const MAIN = join(import.meta.dirname, '../src/cmd/main.ts');

/** Starts a server on `data`, which is made, and registers what daemons and their callers are let in as. */
export async function openNode(data: string): Promise<Node> {
  const directory = dirname(data);
  const [config, passphrase] = [join(directory, 'server.json'), join(directory, 'passphrase')];
  writeFileSync(passphrase, 'correct horse battery staple\n', { mode: 0o600 });
  const limits = { rateLimit: UNLIMITED, writeLimit: UNLIMITED, nodeLimit: UNLIMITED };
  const anchor = join(directory, 'anchor');
  writeFileSync(
    config,
    JSON.stringify({ trustDomain: 'bench.writ.internal', anchor, requestThreads: 1, logLevel: 'warn', ...limits }),
  );
  const args = ['--config', config, '--passphrase-file', passphrase];
  const server = await startServer(data, { args, nodeFlags: NODE_FLAGS, environment: SERVER_ENVIRONMENT });
  const operator = openOperator(server.api, data);
  const close = async (): Promise<void> => {
    operator.close();
    await server.stop();
  };
  const addEntry = async (): Promise<void> => {
    const body = { agent: 'worker', node: 'box', match: [`unix:uid=${process.geteuid!()}`] };
    await operator.json({ method: 'POST', path: '/v1/entries', body });
  };
  let count = 0;
  try {
    await register(operator, 'box', 'service');
    await register(operator, 'worker');
    await addEntry();
  } catch (error) {
    await close();
    throw error;
  }
  return {
    server: server.pid,
    addEntry,
    close,
    async credential() {
      const identity = await enrol({ token: await newToken(operator, 'box', 'service') });
      identity.close();
      return identity.credential;
    },
    async daemon() {
      const place = join(directory, `node-${count++}`);
      mkdirSync(place);
      const [token, socket] = [join(place, 'token'), join(place, 'run', 'api.sock')];
      writeFileSync(token, await newToken(operator, 'box', 'service'), { mode: 0o600 });
      const command = ['agent', 'run', '--json', '--token-file', token, '--socket', socket, '--token-rate', '999999'];
      return { ...(await run([...NODE_FLAGS, ...AGENT_FLAGS, MAIN, ...command])), socket };
    },
  };
}

/** A connection to a socket on which the Workload API is served. */
export function openWorkloadClient(path: string): GrpcClient {
  return new GrpcClient({
    authority: 'http://localhost',
    connect: (): Socket => connect(path),
    limits: { ...DEFAULT_GRPC_LIMITS, message: 4 << 20, sessionMemory: 64 },
    metadata: { 'workload.spiffe.io': 'true' },
  });
}
