/** An installation in a throw-away directory, run by the real program in a process of its own, which tests mistreat. */
import { randomUUID } from 'node:crypto';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import type { Client } from '../../src/http/client.ts';
import { DidNotStart, type ProgramOptions, type RunningServer, startServer } from '../program.ts';
import { clientOf, csrFor, enrol, type Leaf, newKey, operatorClient, rootsIn } from './clients.ts';

export type StartOptions = ProgramOptions & { readonly args?: readonly string[] };

export interface Issued {
  readonly serial: string;
  readonly certificate: string;
  readonly chain: readonly string[];
  readonly ledger_index: number;
  readonly instance: string;
}

/** One run of the server. */
export interface Run {
  readonly server: RunningServer;
  /** As the first operator; tries once. */
  readonly operator: Client;
  /** Roots, PEM. */
  readonly roots: readonly string[];
  post<T = Issued>(path: string, body: object, idempotencyKey?: string): Promise<T>;
  get<T = Record<string, unknown>>(path: string): Promise<T>;
  /** Registers an agent that is not there yet and lets a first instance of it in. */
  letIn(agent: string): Promise<Leaf>;
  /** A certificate for an instance, with a fresh key. */
  issue(instance: string, idempotencyKey?: string): Promise<Issued>;
  revoke(serial: string, idempotencyKey?: string): Promise<{ readonly status: string; readonly revoked_at: string }>;
  /** Bytes of a public document. */
  document(path: string): Promise<string>;
}

/** A directory that goes with this process, after everything that `after` does. */
export function scratchDirectory(): string {
  const scratch = mkdtempSync(join(tmpdir(), 'writ-journey-'));
  process.once('exit', () => rmSync(scratch, { recursive: true, force: true, maxRetries: 5 }));
  return scratch;
}

/** Starts the server of a data directory, new or not. It is killed, at the latest, after the tests of this file. */
export async function run(data: string, options: StartOptions = {}): Promise<Run> {
  const server = await startServer(data, options);
  const credential = join(`${data}-operator`, 'operator.json');
  const operator = operatorClient(credential, server.api);
  const roots = rootsIn(credential);
  const open = clientOf(server.open, roots);
  after(async () => {
    operator.close();
    open.close();
    await server.kill();
  });
  const post = <T>(path: string, body: object, idempotencyKey: string = randomUUID()): Promise<T> =>
    operator.json<T>({ method: 'POST', path, body, idempotencyKey });
  return {
    ...{ server, operator, roots, post },
    get: (path) => operator.json({ path }),
    async letIn(agent) {
      const owner = { team: 'journeys', sponsor: 'sponsor@example.com' };
      await post('/v1/agents', { name: agent, owner, purpose: 'endures' });
      const { token } = await post<{ token: string }>('/v1/tokens', { agent });
      return enrol(open, token);
    },
    issue: async (instance, key) => post('/v1/certificates', { instance, csr: await csrFor(newKey()) }, key),
    revoke: (serial, key) => post(`/v1/certificates/${serial}/revoke`, { cause: 'key_theft' }, key),
    document: async (path) => (await open.send({ path })).body.toString('utf8'),
  };
}

/** A copy, under another name, of an installation that nothing runs on. */
export function copyInstallation(from: string, to: string): string {
  for (const sibling of ['', '-anchor', '-passphrase', '-operator']) {
    if (existsSync(from + sibling)) cpSync(from + sibling, to + sibling, { recursive: true });
  }
  const config = join(to, 'config.json');
  writeFileSync(config, readFileSync(config, 'utf8').replaceAll(from, to));
  return to;
}

/** The error that a promise rejects with; fails when it does not. */
export async function failureOf(
  promise: Promise<unknown>,
): Promise<Error & { code?: string; field?: string; reasons?: readonly string[] }> {
  return promise.then(
    () => {
      throw new Error('this was to be refused');
    },
    (error: Error) => error,
  );
}

/** `code: message` of why a server did not start; fails unless it said so in one sentence and what to do next. */
export function refusalOf(error: unknown): string {
  if (!(error instanceof DidNotStart)) throw error;
  const { code, stderr } = error.ended;
  const lines = stderr.split('\n').filter((line) => line.startsWith('{"error"'));
  const said = JSON.parse(lines[0] ?? '{}') as { error?: { code: string; message: string; next?: string } };
  if (code === 0 || code === null || lines.length !== 1 || said.error?.next === undefined || / {4}at /.test(stderr)) {
    throw new Error(`not a clear refusal (exit ${code}): ${stderr}`);
  }
  return `${said.error.code}: ${said.error.message}`;
}
