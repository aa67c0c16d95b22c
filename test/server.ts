/** A running authority for tests of its clients: a process of its own on free ports, and its command line in this one. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { runProgram } from '../src/cli/program.ts';
import { commandTable } from '../src/cmd/commands.ts';
import { type ProgramOptions, startServer } from './program.ts';

/** What one command line said. */
export interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface TestServer {
  /** `https://host:port` of each listener. */
  readonly api: string;
  readonly open: string;
  readonly plain: string;
  /** Data directory; its siblings lie in the same throw-away directory. */
  readonly data: string;
  /** Throw-away directory, for whatever a test needs. */
  readonly scratch: string;
  /** File with the credential of the first operator. */
  readonly operator: string;
  /** Runs a command line in this process, as the first operator on the server's machine. */
  cli(...argv: string[]): Promise<Said>;
  /** The same with `--json`; fails unless the exit code is 0. */
  json<T = Record<string, unknown>>(...argv: string[]): Promise<T>;
  /** A join token for an agent or service, which is registered first where it does not exist. */
  token(name: string, kind?: 'agent' | 'service'): Promise<string>;
  /** Stops the server; what it wrote stays until the tests have ended. */
  stop(): Promise<void>;
  /** Starts it again on the same data and other ports. */
  restart(): Promise<TestServer>;
}

/** Starts one. It is stopped, and its files are removed, after the tests of this file. */
export async function testServer(
  options: ProgramOptions & { readonly args?: readonly string[] } = {},
): Promise<TestServer> {
  const scratch = mkdtempSync(join(tmpdir(), 'writ-server-'));
  after(() => rmSync(scratch, { recursive: true, force: true, maxRetries: 5 }));
  return serverOn(scratch, options);
}

async function serverOn(
  scratch: string,
  options: ProgramOptions & { readonly args?: readonly string[] },
): Promise<TestServer> {
  const data = join(scratch, 'writ-data');
  const operator = join(scratch, 'writ-data-operator', 'operator.json');
  const server = await startServer(data, options);
  const stop = async (): Promise<void> => void (await server.stop());
  after(stop);
  const kept = new Set<string>();
  const self: TestServer = {
    ...{ api: server.api, open: server.open, plain: server.plain, data, scratch, operator, stop },
    cli: (...argv) => cli(argv, { operator, server: server.api, data }),
    async json<T>(...argv: string[]): Promise<T> {
      const { code, stdout, stderr } = await self.cli(...argv, '--json');
      if (code !== 0) throw new Error(`writ ${argv.join(' ')} gave ${code}: ${stderr}`);
      return JSON.parse(stdout) as T;
    },
    async token(name, kind = 'agent') {
      if (!kept.has(name)) await self.json(kind, 'register', name, ...OWNER);
      kept.add(name);
      return (await self.json<{ token: string }>('token', 'create', name)).token;
    },
    async restart() {
      await stop();
      return serverOn(scratch, options);
    },
  };
  return self;
}

const OWNER = ['--team', 'tests', '--sponsor', 'ada@example.com', '--purpose', 'tests'];

/** Runs a command line in this process, with streams that are no terminals. `defaults` are flags where it takes them. */
export async function cli(argv: readonly string[], defaults: Readonly<Record<string, string>> = {}): Promise<Said> {
  const words = argv.filter((word) => !word.startsWith('-'));
  const command = commandTable().find(({ path }) => {
    const given = words.slice(0, path.split(' ').length).join(' ');
    return given === path;
  });
  const known = new Set((command?.flags ?? []).map(({ name }) => name));
  const flags = Object.entries(defaults).flatMap(([name, value]) =>
    known.has(name) && !argv.includes(`--${name}`) ? [`--${name}`, value] : [],
  );
  const said = { stdout: '', stderr: '' };
  const into = (name: 'stdout' | 'stderr') => ({
    write: (text: string) => {
      said[name] += text;
    },
  });
  const length = command?.path.split(' ').length ?? argv.length;
  const code = await runProgram(commandTable(), [...argv.slice(0, length), ...flags, ...argv.slice(length)], {
    stdout: into('stdout'),
    stderr: into('stderr'),
    stdin: {},
    environment: {},
  });
  return { code, ...said };
}

/** What a table has in its rows, cell by cell. */
export function cells({ stdout }: Pick<Said, 'stdout'>): string[][] {
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.split(/ {2,}/));
}
