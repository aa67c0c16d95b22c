import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { onEachEngine } from '../../test/engines.ts';
import { createInstallation, type Installation } from '../../test/installation.ts';
import { deliverDue, forgetDeliveries, PAUSES } from './deliver.ts';
import { listDeliveries } from './delivery-store.ts';
import { requestApproval } from './request.ts';
import { officers, parametersOf, partsOf } from './testdata/people.ts';
import { sendWebhook, signedHeaders, webhookKey } from './webhook.ts';

const KEY = Buffer.from('a secret of more than 24 octets');
const [ONE, TWO] = ['https://one.example.com/', 'https://two.example.com/'];

/** Something to tell: a request, to these URLs. */
async function tell(installation: Installation, urls: readonly string[]): Promise<void> {
  const { ada } = await officers(installation);
  const request = {
    caller: ada,
    action: 'owner.restore',
    resource: { type: 'Owner', id: 'research', facts: { team: 'research' } },
  } as const;
  const verdict = installation.policy.authorize(request);
  assert.ok(!verdict.allowed);
  const wanted = { request, verdict, parameters: parametersOf('research'), reason: 'a word that stays here' };
  await requestApproval(ada, wanted, partsOf(installation, urls));
}

onEachEngine('what fails is tried again with growing pauses, and is dead at last; others go on', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { database: reader, commit, clock } = installation;
  await tell(installation, [ONE, TWO]);
  const seen: string[] = [];
  const webhooks = [ONE, TWO].map((url) => ({ url, key: KEY }));
  const send = async ({ url }: { readonly url: string }, { body }: { readonly body: string }) => {
    seen.push(url);
    assert.ok(!body.includes('a word that stays here') && !body.includes('/v1/owners'), 'who looks sees the rest');
    return url === ONE ? 'status 500' : undefined;
  };
  const parts = { reader, commit, clock, webhooks, send };
  assert.equal(await deliverDue(parts), 2);
  assert.equal(await deliverDue(parts), 0, 'not before its time');
  for (const pause of PAUSES) {
    installation.advance(pause * 1000 - 1);
    assert.equal(await deliverDue(parts), 0);
    installation.advance(1);
    assert.equal(await deliverDue(parts), 1);
  }
  installation.advance(365 * 86_400_000);
  assert.equal(await deliverDue(parts), 0);
  assert.deepEqual([seen.filter((url) => url === ONE).length, seen.length], [PAUSES.length + 1, PAUSES.length + 2]);
  const states = (await listDeliveries(reader, {}, {})).items.map(({ url, state, lastError }) => [
    url,
    state,
    lastError,
  ]);
  assert.deepEqual(states.sort(), [
    [ONE, 'dead', 'status 500'],
    [TWO, 'delivered', ''],
  ]);
  await forgetDeliveries(parts);
  assert.deepEqual((await listDeliveries(reader, {}, {})).items, []);
});

onEachEngine('two processes send a message once, and one that died in between is made good', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { database: reader, commit, clock } = installation;
  await tell(installation, [ONE]);
  let sent = 0;
  const parts = {
    ...{ reader, commit, clock, webhooks: [{ url: ONE, key: KEY }] },
    async send() {
      sent += 1;
      return undefined;
    },
  };
  const dying = { ...parts, send: () => Promise.reject(new Error('killed')) };
  await assert.rejects(deliverDue(dying));
  assert.equal(await deliverDue(parts), 0, 'claimed');
  installation.advance(30_000);
  const counts = await Promise.all([deliverDue(parts), deliverDue(parts)]);
  assert.deepEqual([counts.reduce((a, b) => a + b), sent], [1, 1]);
});

test('a message is signed as Standard Webhooks have it, and anything but 2xx is a failure', async () => {
  const key = webhookKey(Buffer.from('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n'));
  const headers = signedHeaders(key, {
    ...{ id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', at: 1_614_265_330_000, body: '{"test": 2432232314}' },
  });
  // The vector of the Standard Webhooks libraries.
  assert.equal(headers['webhook-signature'], 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');

  const received: { readonly headers: Record<string, unknown>; readonly body: string }[] = [];
  let status = 204;
  const server = createServer((request, answer) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString('utf8');
    });
    request.on('end', () => {
      received.push({ headers: request.headers, body });
      answer.writeHead(status, { Location: '/elsewhere' }).end();
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  const message = { id: 'one', at: 1_700_000_000_123, body: '{"a":1}' };
  assert.equal(await sendWebhook({ url, key: KEY }, message), undefined);
  const [first] = received;
  const mac = createHmac('sha256', KEY).update('one.1700000000.{"a":1}').digest('base64');
  assert.deepEqual(
    [
      first?.body,
      first?.headers['webhook-id'],
      first?.headers['webhook-timestamp'],
      first?.headers['webhook-signature'],
    ],
    ['{"a":1}', 'one', '1700000000', `v1,${mac}`],
  );
  for (status of [302, 400, 500]) assert.equal(await sendWebhook({ url, key: KEY }, message), `status ${status}`);
  server.closeAllConnections();
  await new Promise((resolve) => void server.close(resolve));
  assert.equal(await sendWebhook({ url, key: KEY }, message), 'ECONNREFUSED');
});
