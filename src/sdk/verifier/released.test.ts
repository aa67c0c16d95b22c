/** What follows the feed goes on by itself when what it hangs on is released: nothing has to be started again. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { connected, reasonOf, until } from '../../../test/feed.ts';
import { testServer } from '../../../test/server.ts';
import { connect } from '../enrolment/connect.ts';
import type { Identity } from '../identity/identity.ts';
import type { Relay } from '../relay/relay.ts';
import type { VerifierOptions } from './options.ts';
import { createVerifier, type Verifier } from './verifier.ts';

const server = await testServer({ args: ['--threads', '2'] });
const closing: (() => void)[] = [];
after(() => {
  for (const close of closing.reverse()) close();
});

async function identity(name: string): Promise<Identity> {
  const made = await connect({ token: await server.token(name, 'service') });
  closing.push(() => made.close());
  return made;
}

function verifier(of: Identity, options: Partial<VerifierOptions> = {}): Verifier {
  const made = createVerifier({ identity: of, mode: 'strict', ...options });
  closing.push(() => made.close());
  return made;
}

const GATEWAYS = 'service/gateway/*';
const PATIENCE = 40_000;

async function relaying(of: Identity, options: Partial<VerifierOptions> = {}) {
  const made = verifier(of, options);
  const listener = https.createServer(made.serverOptions());
  listener.on('tlsClientError', () => {});
  const relay: Relay = made.relay(listener, { allow: (id) => id.segments[0] === 'service' });
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  closing.push(() => {
    listener.close();
    listener.closeAllConnections();
  });
  return { made, relay, at: `https://127.0.0.1:${(listener.address() as AddressInfo).port}` };
}

test('an authority: relays, relays behind them and all who follow go on, those who came meanwhile, too', async () => {
  const [near, far, follower, echo] = [
    await identity('gateway'),
    await identity('gateway'),
    await identity('follower'),
    await identity('echo'),
  ];
  const first = await relaying(near);
  const second = await relaying(far, { feed: first.at, relays: GATEWAYS });
  const direct = verifier(follower);
  const behind = verifier(follower, { feed: first.at, relays: GATEWAYS });
  const behindTwo = verifier(follower, { feed: second.at, relays: GATEWAYS, mode: 'available' });
  const all = [first.made, second.made, direct, behind, behindTwo];
  for (const made of all) await made.ready(AbortSignal.timeout(PATIENCE));
  const { near: socket, close } = await connected(echo, follower);
  closing.push(close);
  for (const made of all) assert.equal(reasonOf(made.authorize(socket)), 'allowed');

  const list = await server.json<{ items: { id: string; kind: string; state: string }[] }>('ca', 'list');
  const { id: issuing } = list.items.find(({ kind, state }) => kind === 'issuing' && state === 'active')!;
  const why = ['--cause', 'authority_compromise', '--quarantine'];
  const { id } = await server.json<{ id: string }>('stop', 'authority', issuing, ...why, '--here');
  // Each has heard why, and then nothing more.
  for (const made of all) await until(() => reasonOf(made.authorize(socket)) === 'held', PATIENCE);
  for (const made of all) await until(() => !made.well, PATIENCE);
  assert.deepEqual([first.relay.followers, second.relay.followers], [0, 0]);
  const late = verifier(follower, { feed: second.at, relays: GATEWAYS });

  await server.json('release', id, '--here');
  for (const made of [...all, late]) {
    await made.ready(AbortSignal.timeout(PATIENCE));
    assert.equal(reasonOf(made.authorize(socket)), 'allowed');
  }
  await until(() => first.relay.followers === 2 && second.relay.followers === 2, PATIENCE);
  // They are what they were: what is stopped now is refused behind both.
  await server.json('cert', 'revoke', echo.credential.serial, '--cause', 'key_theft');
  for (const made of [...all, late]) await until(() => reasonOf(made.authorize(socket)) === 'stopped', PATIENCE);
});
