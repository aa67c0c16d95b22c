/** Who was stopped while a request of theirs was on its way gets nothing for it, however late they end it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import type { OperatorCredential } from '../../src/cli/credential.ts';
import { testServer } from '../server.ts';
import { clientOf, csrFor, enrol, newKey, rootsIn } from './clients.ts';

/** Begins a request and keeps the last octet of its body. */
async function begin(
  { server, ca, key, cert }: { server: string; ca: readonly string[]; key: string; cert: string },
  path: string,
  body: object,
): Promise<{ end(): Promise<string> }> {
  const { hostname, port } = new URL(server);
  const socket: TLSSocket = connect({ host: hostname, port: Number(port), ca: [...ca], key, cert });
  await once(socket, 'secureConnect');
  const text = JSON.stringify(body);
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${text.length}\r\n\r\n${text.slice(0, -1)}`,
  );
  // Long enough for the server to have looked at the caller.
  await pause(300);
  return {
    async end() {
      socket.write(text.slice(-1));
      let answer = '';
      for await (const chunk of socket) answer += String(chunk);
      return answer;
    },
  };
}

const credentialOf = (file: string): { ca: readonly string[]; key: string; cert: string } => {
  const { roots, key, chain } = JSON.parse(readFileSync(file, 'utf8')) as OperatorCredential;
  return { ca: roots, key, cert: chain.join('') };
};

test('a request that ends after its caller was stopped gets nothing', async () => {
  const at = await testServer();
  const roots = rootsIn(at.operator);
  const stranger = clientOf(at.api, roots);
  const leaf = await enrol(stranger, await at.token('planner'));
  stranger.close();
  const key = leaf.key.export({ type: 'pkcs8', format: 'pem' }) as string;
  const thief = { server: at.api, ca: roots, key, cert: [leaf.certificate, ...leaf.chain].join('') };

  const renewal = await begin(thief, '/v1/certificates/renew', { csr: await csrFor(newKey()) });
  await at.json('cert', 'revoke', leaf.serial, '--cause', 'key_theft');
  assert.match(await renewal.end(), /^HTTP\/1.1 403 .*"code":"revoked"/s);

  const file = join(at.scratch, 'grace.json');
  await at.json('operator', 'add', 'grace', '--person', 'admin', '--out', file);
  const grace = { server: at.api, ...credentialOf(file) };
  const token = await begin(grace, '/v1/tokens', { agent: 'planner', uses: 10_000 });
  // By a process beside the server, which the server need not have heard of when the request ends.
  await at.json('operator', 'remove', 'grace');
  assert.match(await token.end(), /^HTTP\/1.1 403 .*"code":"revoked"/s);
});
