/** Canaries at nginx: one that loads the revocation lists and is told to read them again, and one that does neither. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { encodePem } from '../../src/der/pem.ts';
import { CanaryRunner, connect } from '../../src/sdk/entry.ts';
import type { CanaryReport } from '../../src/wire/canary.ts';
import { type TestServer, testServer } from '../server.ts';
import { startNginx } from './nginx.ts';
import { nginx, skipOf } from './tools.ts';

const NGINX = nginx();
const peer = 'service/gateway/*';

/** A server with an agent for canaries, and files by which nginx serves as the service `gateway`. */
async function site() {
  const server = await testServer();
  await server.token('gateway', 'service');
  const owner = ['--team', 'security', '--sponsor', 'ada@example.com', '--purpose', 'canaries'];
  await server.json('agent', 'register', 'canary', ...owner, '--label', 'canary=true');
  const out = join(server.scratch, 'gateway');
  const { files } = await server.json<{ files: Record<'certificate' | 'key' | 'bundle', string> }>(
    ...['enrol', '--service', 'gateway', '--out', out],
  );
  return { server, own: { chain: files.certificate, key: files.key }, bundle: files.bundle };
}

async function look(server: TestServer, point: string, port: number): Promise<CanaryReport> {
  const { token } = await server.json<{ token: string }>('token', 'create', 'canary');
  const identity = await connect({ token });
  const looked = { point, url: `https://127.0.0.1:${port}/`, peer };
  const runner = new CanaryRunner({ identity, points: [looked] });
  try {
    return await runner.probe(looked);
  } finally {
    runner.close();
    identity.close();
  }
}

/** All lists of the chain as nginx wants them: PEM, one after another. */
async function listsOf(server: TestServer): Promise<string> {
  const { items } = await server.json<{ items: { id: string }[] }>('ca', 'list');
  const lists = await Promise.all(items.map(({ id }) => fetch(new URL(`/crl/${id}.crl`, server.plain))));
  const found = await Promise.all(
    lists.filter(({ ok }) => ok).map(async (list) => encodePem('X509 CRL', new Uint8Array(await list.arrayBuffer()))),
  );
  return found.join('');
}

test('nginx that is given the lists refuses in time, and one that is not is found out', {
  skip: skipOf(NGINX),
}, async () => {
  const { server, own, bundle } = await site();
  const lists = join(server.scratch, 'lists.pem');
  let known = await listsOf(server);
  writeFileSync(lists, known);
  const clients = [`ssl_client_certificate ${bundle};`, 'ssl_verify_depth 3;'];
  await using careful = await startNginx(server.scratch, own, [...clients, `ssl_crl ${lists};`]);
  await using careless = await startNginx(server.scratch, own, clients);

  let over = false;
  const following = (async () => {
    while (!over) {
      const now = await listsOf(server);
      if (now !== known) {
        known = now;
        writeFileSync(lists, now);
        await careful.reload();
      }
      await pause(100);
    }
  })();
  const refused = await look(server, 'nginx-careful', careful.port);
  assert.equal(refused.verdict, 'refused', JSON.stringify(refused));
  assert.ok(refused.time_to_effect_ms! > 0 && refused.time_to_effect_ms! < 5000, JSON.stringify(refused));
  over = true;
  await following;

  const accepted = await look(server, 'nginx-careless', careless.port);
  assert.equal(accepted.verdict, 'still_accepted', JSON.stringify(accepted));
  const { items } = await server.json<{ items: { point: string; status: string }[] }>('canary', 'list');
  assert.deepEqual(
    items.map(({ point, status }) => [point, status]),
    [
      ['nginx-careful', 'well'],
      ['nginx-careless', 'failing'],
    ],
  );
});
