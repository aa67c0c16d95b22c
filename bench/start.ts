import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { OperatorCredential } from '../src/cli/credential.ts';
import { Client } from '../src/http/client.ts';
import { connect } from '../src/sdk/enrolment/connect.ts';
import { run } from './process.ts';
import { median } from './statistics.ts';

const LAUNCHER = join(import.meta.dirname, '../bin/writ.js');

/** From an empty directory to the first certificate that an instance got over the wire, several times. */
export async function measureStart(directory: string, times: number): Promise<Record<string, number>> {
  const [ready, whole]: [number[], number[]] = [[], []];
  for (let time = 0; time < times; time++) {
    const data = join(directory, `start-${time}`, 'writ-data');
    const listen = ['--listen', '--listen-public', '--listen-plain'].flatMap((flag) => [flag, '127.0.0.1:0']);
    const began = performance.now();
    const server = await run([LAUNCHER, 'start', '--json', '--data', data, ...listen]);
    ready.push(performance.now() - began);
    const text = readFileSync(join(`${data}-operator`, 'operator.json'), 'utf8');
    const { roots, key, chain } = JSON.parse(text) as OperatorCredential;
    const client = new Client({
      server: server.said['api'] as string,
      roots,
      credential: { key, chain: chain.join('') },
    });
    const owner = { team: 'bench', sponsor: 'sponsor@example.com' };
    const body = { name: 'first', owner, purpose: 'is measured' };
    await client.json({ method: 'POST', path: '/v1/agents', body });
    const { token } = await client.json<{ token: string }>({
      method: 'POST',
      path: '/v1/tokens',
      body: { agent: 'first' },
    });
    const identity = await connect({ token });
    whole.push(performance.now() - began);
    identity.close();
    client.close();
    await server.stop();
  }
  return { start_ms: median(whole), start_ready_ms: median(ready) };
}
