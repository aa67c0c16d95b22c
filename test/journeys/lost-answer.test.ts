/** An instance that replaces its own certificate and loses the answer: it presents a revoked one from there on. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import { failureOf, run, scratchDirectory } from './authority.ts';
import { clientOf, csrFor, newKey, renew, whoami } from './clients.ts';

test('the repeat of a replacement gets its answer, and its certificate is good for nothing else', async () => {
  const { letIn, issue, revoke, post, server, roots } = await run(join(scratchDirectory(), 'writ-data'));
  const leaf = await letIn('planner');
  const client = clientOf(server.api, roots, leaf);
  const replace = (body: object, idempotencyKey: string) =>
    client.json<{ serial: string }>({ method: 'POST', path: '/v1/certificates/replace', body, idempotencyKey });
  const code = async (act: Promise<unknown>) => (await failureOf(act)).code;
  const other = await issue(leaf.instance);
  const [key, body] = [randomUUID(), { csr: await csrFor(newKey()) }];

  // Two at once, as from a client that gave up waiting.
  const both = await Promise.all([replace(body, key), replace(body, key)]);
  const { serial } = await replace(body, key);
  assert.deepEqual(new Set([...both.map((one) => one.serial), serial]).size, 1);

  const fresh = { csr: await csrFor(newKey()) };
  assert.equal(await code(whoami(client)), 'revoked');
  assert.equal(await code(renew(client)), 'revoked');
  assert.equal(await code(replace(body, randomUUID())), 'revoked', 'under another key it is another request');
  assert.equal(await code(replace(fresh, key)), 'idempotency_mismatch');
  assert.equal(await code(replace({ ...fresh, serial: other.serial }, randomUUID())), 'revoked');
  const renewing = { method: 'POST', path: '/v1/certificates/renew', body, idempotencyKey: key } as const;
  assert.equal(await code(client.json(renewing)), 'revoked');
  const unkeyed = { method: 'POST', path: '/v1/certificates/replace', body, idempotencyKey: randomUUID() } as const;
  assert.equal(await code(client.json(unkeyed)), 'revoked');

  await revoke(serial);
  assert.equal(await code(replace(body, key)), 'revoked', 'an answer that is worth nothing any more is not handed out');
  client.close();

  const second = await letIn('writer');
  const writer = clientOf(server.api, roots, second);
  const again = () =>
    writer.json<{ serial: string }>({
      method: 'POST',
      path: '/v1/certificates/replace',
      body,
      idempotencyKey: key,
    });
  assert.equal(await code(again()), 'key_in_use', 'the key of a request is the caller’s own');
  const mine = { csr: await csrFor(newKey()) };
  const ask = () =>
    writer.json<{ serial: string }>({
      method: 'POST',
      path: '/v1/certificates/replace',
      body: mine,
      idempotencyKey: key,
    });
  assert.equal((await ask()).serial, (await ask()).serial);
  await post(`/v1/instances/${second.instance}/stop`, { cause: 'decommissioned' });
  assert.equal(await code(ask()), 'revoked', 'nothing is handed to an instance that was stopped');
  writer.close();
  await server.stop();
});
