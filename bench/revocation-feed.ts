import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from '../src/http/client.ts';
import { connect } from '../src/sdk/enrolment/connect.ts';
import type { Credential } from '../src/sdk/identity/credential.ts';
import { postgresMissing, startPostgres } from '../test/postgres.ts';
import { startServer } from '../test/program.ts';
import { Child } from './child.ts';
import { inFlight } from './in-flight.ts';
import { newToken, openOperator, register } from './operator.ts';
import { residentMemory } from './process.ts';
import type { CrowdAnswer, CrowdCommand } from './revocation-crowd.ts';
import type { PointAnswer, PointCommand } from './revocation-point.ts';
import { percentile } from './statistics.ts';

export interface FeedBenchOptions {
  /** Revocations that are measured; each gives one sample a point. */
  readonly rounds: number;
  /** Subscribers that only read. */
  readonly crowd: number;
  readonly progress: (text: string) => void;
}

/** Enforcement points, each a process. */
const POINTS = 100;
/** So many of them start at a time: a process takes a third of a second of a core to come up. */
const STARTING = 8;
/** Streams of one caller, below what a server allows one. */
const STREAMS = 60;

/**
 * From the acknowledged revocation to the last accepted use: 100 enforcement points in processes of their own over real
 * TLS, on one node, and then shared among three replicas on PostgreSQL of which one revokes; then how a crowd of
 * subscribers is told, and what each takes of the server's memory.
 */
export async function measureFeed(directory: string, options: FeedBenchOptions): Promise<Record<string, number>> {
  const figures: Record<string, number> = {};
  const { progress } = options;
  progress('revocation: 100 enforcement points, one node');
  const data = join(directory, 'feed', 'writ-data');
  const server = await startServer(data, { args: ['--threads', '1'] });
  try {
    Object.assign(figures, named('time_to_effect', await measurePoints([server.api], data, options)));
    progress(`revocation: ${options.crowd} subscribers`);
    Object.assign(figures, await measureCrowd(server, data, options.crowd));
  } finally {
    await server.stop();
  }
  const missing = postgresMissing();
  if (missing !== undefined) {
    progress(missing);
    return figures;
  }
  progress('revocation: 100 enforcement points, three replicas');
  Object.assign(figures, named('time_to_effect_replicas', await measureReplicas(directory, options)));
  return figures;
}

async function measureReplicas(directory: string, options: FeedBenchOptions): Promise<number[]> {
  const postgres = await startPostgres();
  const running: Awaited<ReturnType<typeof startServer>>[] = [];
  try {
    const database = { engine: 'postgres', ...postgres.address, pool: 2 };
    const passphrase = join(directory, 'passphrase');
    writeFileSync(passphrase, 'correct horse battery staple\n', { mode: 0o600 });
    for (let number = 0; number < 3; number++) {
      const config = join(directory, `replica-${number}.json`);
      const anchor = join(directory, `replica-${number}-anchor`);
      const value = { trustDomain: 'bench.writ.internal', anchor, requestThreads: 1, logLevel: 'warn', database };
      writeFileSync(config, JSON.stringify(value));
      const args = ['--config', config, '--passphrase-file', passphrase];
      running.push(await startServer(join(directory, `replica-${number}`), { args }));
    }
    const servers = running.map(({ api }) => api);
    return await measurePoints(servers, join(directory, 'replica-0'), options);
  } finally {
    await Promise.all(running.map((server) => server.stop()));
    await postgres.stop();
  }
}

/** Milliseconds from the acknowledgement to the effect, one for each point and round. The first server revokes. */
async function measurePoints(
  servers: readonly string[],
  data: string,
  { rounds }: FeedBenchOptions,
): Promise<number[]> {
  const operators = servers.map((server) => openOperator(server, data));
  const [operator] = operators;
  const children: Child<PointCommand, PointAnswer>[] = [];
  try {
    await register(operator!, 'points');
    await register(operator!, 'victim');
    await inFlight(
      POINTS,
      async (i) => {
        const child = new Child<PointCommand, PointAnswer>('revocation-point.ts');
        children.push(child);
        // Each enrols at one of the servers, and reads the feed there.
        await child.ask({ do: 'open', token: await newToken(operators[i % operators.length]!, 'points') }, 'opened');
      },
      STARTING,
    );
    const times: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const { serial, key, chain } = await newCredential(operator!, 'victim');
      const refused = children.map((child) => child.hear('refused'));
      await Promise.all(children.map((child) => child.ask({ do: 'use', key, chain, serial }, 'using')));
      await pause(200 + Math.random() * 200);
      await revoke(operator!, serial);
      const acknowledged = performance.timeOrigin + performance.now();
      for (const { at } of await Promise.all(refused)) {
        times.push(Math.max(0, at - acknowledged));
      }
    }
    return times;
  } finally {
    await Promise.all(children.map((child) => child.stop()));
    for (const one of operators) one.close();
  }
}

async function measureCrowd(
  server: { readonly api: string; readonly pid: number },
  data: string,
  count: number,
): Promise<Record<string, number>> {
  const operator = openOperator(server.api, data);
  const child = new Child<CrowdCommand, CrowdAnswer>('revocation-crowd.ts');
  try {
    await register(operator, 'crowd');
    const members = [];
    for (let i = 0; i < Math.ceil(count / STREAMS); i++) {
      const { key, chain, roots } = await newCredential(operator, 'crowd');
      members.push({ key, chain, roots });
    }
    const before = residentMemory(server.pid);
    await child.ask({ do: 'open', port: Number(new URL(server.api).port), count, members }, 'opened');
    // Heartbeats go round, and what the handshakes left behind is collected.
    await pause(3000);
    const memory = residentMemory(server.pid);
    const times: number[] = [];
    for (let round = 0; round < 5; round++) {
      const { serial } = await newCredential(operator, 'victim');
      await child.ask({ do: 'expect', subject: `serial:${serial}` }, 'expecting');
      const told = child.hear('told');
      await revoke(operator, serial);
      const acknowledged = performance.timeOrigin + performance.now();
      times.push(Math.max(0, (await told).at - acknowledged));
      await pause(300);
    }
    return {
      feed_subscribers: count,
      feed_subscriber_kb: Math.max(0, memory - before) / 1024 / count,
      feed_subscribers_memory_mb: memory / 1e6,
      feed_last_told_ms: percentile(times, 0.5),
    };
  } finally {
    await child.stop();
    operator.close();
  }
}

function named(name: string, times: readonly number[]): Record<string, number> {
  return { [`${name}_ms_p50`]: percentile(times, 0.5), [`${name}_ms_p99`]: percentile(times, 0.99) };
}

/** An instance's credential that nobody renews. */
async function newCredential(
  operator: Client,
  agent: string,
): Promise<{ readonly key: string; readonly chain: string } & Pick<Credential, 'serial' | 'roots'>> {
  const identity = await connect({ token: await newToken(operator, agent) });
  const { key, certificate, chain, serial, roots } = identity.credential;
  identity.close();
  return {
    key: key.export({ type: 'pkcs8', format: 'pem' }) as string,
    chain: [certificate, ...chain].join(''),
    serial,
    roots,
  };
}

async function revoke(operator: Client, serial: string): Promise<void> {
  const path = `/v1/certificates/${serial}/revoke`;
  await operator.json({ method: 'POST', path, body: { cause: 'key_theft' } });
}
