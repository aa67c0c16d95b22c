import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { OperatorCredential } from '../src/cli/credential.ts';
import { Client } from '../src/http/client.ts';

const OWNER = { team: 'bench', sponsor: 'sponsor@example.com' };

/** Speaks to a server as the first operator of the data directory that it was started on. */
export function openOperator(server: string, data: string): Client {
  const { roots, key, chain } = JSON.parse(
    readFileSync(join(`${data}-operator`, 'operator.json'), 'utf8'),
  ) as OperatorCredential;
  return new Client({ server, roots, credential: { key, chain: chain.join('') } });
}

export async function register(operator: Client, name: string, kind: 'agent' | 'service' = 'agent'): Promise<void> {
  await operator.json({ method: 'POST', path: `/v1/${kind}s`, body: { name, owner: OWNER, purpose: 'is measured' } });
}

/** A join token for one instance of an agent or a service. */
export async function newToken(operator: Client, name: string, kind: 'agent' | 'service' = 'agent'): Promise<string> {
  const body = { [kind]: name };
  return (await operator.json<{ token: string }>({ method: 'POST', path: '/v1/tokens', body })).token;
}
