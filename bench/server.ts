import { join } from 'node:path';
import { NODE_FLAGS, SERVER_ENVIRONMENT } from '../bin/node-flags.js';
import { type Running, run } from './process.ts';

/** A server of the product, as `writ start` runs it, in a process of its own. */
export interface Server extends Running {
  /** Of the API. */
  readonly port: number;
}

export interface ServerOptions {
  readonly data: string;
  readonly threads: number;
  /** Arguments for Node, e.g. to profile it. */
  readonly node?: readonly string[];
}

const ROOT = join(import.meta.dirname, '..');

export async function startServer({ data, threads, node = [] }: ServerOptions): Promise<Server> {
  const listen = ['--listen', '--listen-public', '--listen-plain'].flatMap((flag) => [flag, '127.0.0.1:0']);
  const main = join(ROOT, 'src/cmd/main.ts');
  const start = ['start', '--json', '--data', data, '--threads', `${threads}`, ...listen];
  const running = await run([...NODE_FLAGS, ...node, main, ...start], { env: SERVER_ENVIRONMENT });
  return { ...running, port: Number(new URL(running.said['api'] as string).port) };
}
