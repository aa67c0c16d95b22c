/** The feed through relays, over real TLS: what is stopped, how old it is said to be, whom it is taken from. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, describe, it } from 'node:test';
import { type Connected, connected, effectOf, reasonOf, until } from '../../../test/feed.ts';
import { type TestServer, testServer } from '../../../test/server.ts';
import { isWritError } from '../../base/error.ts';
import { connect } from '../enrolment/connect.ts';
import { type FeedWire, feedWire } from '../feed/testdata/wire.ts';
import type { Identity } from '../identity/identity.ts';
import type { PeerRule } from '../peer/peer.ts';
import type { VerifierOptions } from '../verifier/options.ts';
import { createVerifier, type Verifier } from '../verifier/verifier.ts';
import type { Relay } from './relay.ts';

let server: TestServer = await testServer({ args: ['--threads', '2'] });
const closing: (() => void)[] = [];
after(() => {
  for (const close of closing.reverse()) close();
});

async function identity(name: string, kind: 'agent' | 'service' = 'agent'): Promise<Identity> {
  const made = await connect({ token: await server.token(name, kind) });
  closing.push(() => made.close());
  return made;
}

/** A verifier, not yet well. */
function verifier(of: Identity, options: Partial<VerifierOptions> = {}): Verifier {
  const made = createVerifier({ identity: of, mode: 'strict', ...options });
  closing.push(() => made.close());
  return made;
}

interface Relaying {
  readonly verifier: Verifier;
  readonly relay: Relay;
  /** `https://host:port`. */
  readonly at: string;
}

/** A gateway that serves on what it reads. */
async function relaying(
  of: Identity,
  options: Partial<VerifierOptions> = {},
  allow: PeerRule = any,
): Promise<Relaying> {
  const made = verifier(of, options);
  const listener = https.createServer(made.serverOptions());
  listener.on('tlsClientError', () => {});
  const relay = made.relay(listener, { allow });
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  closing.push(() => {
    listener.close();
    listener.closeAllConnections();
  });
  await made.ready(AbortSignal.timeout(5000));
  return { verifier: made, relay, at: `https://127.0.0.1:${(listener.address() as AddressInfo).port}` };
}

const any: PeerRule = (id) => id.segments[0] === 'agent' || id.segments[0] === 'service';
const GATEWAYS = 'service/gateway/*';

async function wireTo(to: string): Promise<FeedWire> {
  const wire = await feedWire(to);
  closing.push(wire.close);
  return wire;
}

const echoer = await identity('echo', 'service');

/** A connection of a client, as a server sees it. */
async function peer(client: Identity): Promise<Connected> {
  const pair = await connected(client, echoer);
  closing.push(pair.close);
  return pair;
}

const gateway = await identity('gateway', 'service');
const follower = await identity('follower', 'service');

describe('through a relay', () => {
  it('what is stopped is refused within a second, also behind two of them, and each point is counted', async () => {
    const first = await relaying(gateway, { point: 'first' });
    const second = await relaying(await identity('gateway', 'service'), {
      ...{ point: 'second', feed: first.at, relays: GATEWAYS },
    });
    const one = verifier(follower, { point: 'one', feed: first.at, relays: GATEWAYS });
    const two = verifier(follower, { point: 'two', feed: second.at, relays: GATEWAYS, mode: 'available' });
    await Promise.all([one.ready(AbortSignal.timeout(5000)), two.ready(AbortSignal.timeout(5000))]);
    assert.deepEqual([first.relay.followers, second.relay.followers], [2, 1]);
    const planner = await identity('planner');
    const { near, far } = await peer(planner);
    for (const made of [one, two]) {
      made.track(near);
      assert.equal(reasonOf(made.authorize(near)), 'allowed');
    }
    // Until the server knows of all four.
    await new Promise((resolve) => setTimeout(resolve, 500));
    const closed = once(far, 'close');
    const { serial } = planner.credential;
    await server.json('cert', 'revoke', serial, '--cause', 'key_theft');
    const begun = performance.now();
    await closed;
    for (const made of [one, two]) await until(() => reasonOf(made.authorize(near)) === 'stopped', 1000);
    assert.ok(performance.now() - begun < 1000, `${performance.now() - begun} ms`);
    await until(() => effectOf(server, serial) !== undefined, 8000);
    const { points, acknowledged, missing, accepted_after, max_ms } = effectOf(server, serial)!;
    assert.deepEqual(
      { points, acknowledged, missing, accepted_after },
      { points: 4, acknowledged: 4, missing: [], accepted_after: 0 },
    );
    assert.ok(max_ms < 1000, `${max_ms} ms`);
    // One that does not acknowledge is missed by its name, and by whose word it is.
    const silent = await stream(follower, first.at, '&point=silent');
    await until(() => silent.text.includes('as_of'));
    await new Promise((resolve) => setTimeout(resolve, 500));
    const other = await identity('planner');
    await server.json('cert', 'revoke', other.credential.serial, '--cause', 'key_theft');
    await until(() => silent.text.includes(other.credential.serial));
    await until(() => effectOf(server, other.credential.serial) !== undefined, 12_000);
    assert.deepEqual(effectOf(server, other.credential.serial)!.missing, [
      `${follower.spiffeId}#silent via ${gateway.spiffeId}#first`,
    ]);
  });

  it('whoever comes later learns all that is in force; whoever was away learns what was missed, without a gap', async () => {
    const before = await identity('planner');
    await before.stop('key_theft');
    const { verifier: near, at } = await relaying(gateway);
    const wire = await wireTo(at);
    const made = verifier(follower, { feed: wire.server, relays: GATEWAYS });
    const seen: number[] = [];
    made.on('entry', ({ position }) => seen.push(position));
    const told: number[] = [];
    near.on('entry', ({ position }) => told.push(position));
    await made.ready(AbortSignal.timeout(5000));
    assert.ok(seen.length > 0);
    seen.length = 0;
    wire.cut();
    const missed = await identity('planner');
    const { near: socket } = await peer(missed);
    for (let i = 0; i < 3; i++) await (await identity('planner')).stop();
    await server.json('cert', 'revoke', missed.credential.serial, '--cause', 'key_theft');
    await until(() => reasonOf(near.authorize(socket)) === 'stopped');
    assert.deepEqual(seen, []);
    wire.mend(at);
    await until(() => reasonOf(made.authorize(socket)) === 'stopped');
    assert.deepEqual(seen, told);
    assert.deepEqual(
      seen,
      [...new Set(seen)].sort((a, b) => a - b),
    );
  });

  it('what lies in a relay that is cut off grows old for those behind it; they learn all when it is back', async () => {
    const wire = await wireTo(server.api);
    const { at, relay } = await relaying(gateway, { server: wire.server, strictMs: 1500 });
    const strict = verifier(follower, { feed: at, relays: GATEWAYS, strictMs: 1500 });
    const available = verifier(follower, { feed: at, relays: GATEWAYS, mode: 'available', strictMs: 1500 });
    await Promise.all([strict.ready(AbortSignal.timeout(5000)), available.ready(AbortSignal.timeout(5000))]);
    const planner = await identity('planner');
    const { near } = await peer(planner);
    assert.equal(reasonOf(strict.authorize(near)), 'allowed');
    wire.cut();
    const cut = performance.now();
    // The relay goes on with its heartbeats, and never says that it knows more than it does.
    let looks = 0;
    while (performance.now() - cut < 2500) {
      for (const made of [strict, available]) assert.ok(made.age + 50 >= performance.now() - cut - 50, `${made.age}`);
      looks += 1;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.ok(looks > 10);
    assert.equal(relay.followers, 2);
    assert.equal(reasonOf(strict.authorize(near)), 'stale');
    assert.equal(reasonOf(available.authorize(near)), 'allowed');
    assert.deepEqual([strict.well, available.well], [false, false]);
    // Whoever comes now is not well, whatever the relay knows.
    const late = verifier(follower, { feed: at, relays: GATEWAYS, strictMs: 1500 });
    await assert.rejects(late.ready(AbortSignal.timeout(700)));
    assert.equal(reasonOf(late.authorize(near)), 'stale');
    await server.json('cert', 'revoke', planner.credential.serial, '--cause', 'key_theft');
    const seen: string[] = [];
    for (const made of [strict, available, late]) made.once('well', () => seen.push(reasonOf(made.authorize(near))));
    wire.mend(server.api);
    await until(() => seen.length === 3);
    assert.deepEqual(seen, ['stopped', 'stopped', 'stopped']);
  });

  it('a relay that freezes is as good as cut off, and another is asked', async () => {
    const [one, two] = [await relaying(gateway), await relaying(gateway)];
    const wire = await wireTo(one.at);
    const made = verifier(follower, { feed: [wire.server, two.at], relays: GATEWAYS });
    await made.ready(AbortSignal.timeout(5000));
    assert.deepEqual([one.relay.followers, two.relay.followers], [1, 0]);
    wire.cut();
    await until(() => two.relay.followers === 1);
    const planner = await identity('planner');
    const { near } = await peer(planner);
    assert.equal(reasonOf(made.authorize(near)), 'allowed');
    await planner.stop('key_theft');
    await until(() => reasonOf(made.authorize(near)) === 'stopped', 1000);
  });

  it('one that has lost the server is left for another that has not', async () => {
    const wire = await wireTo(server.api);
    const [one, two] = [await relaying(gateway, { server: wire.server }), await relaying(gateway)];
    const made = verifier(follower, { feed: [one.at, two.at], relays: GATEWAYS });
    await made.ready(AbortSignal.timeout(5000));
    assert.equal(one.relay.followers, 1);
    const alarms: number[] = [];
    made.on('alarm', ({ age }) => alarms.push(age));
    wire.cut();
    await until(() => two.relay.followers === 1, 8000);
    await until(() => made.age < 2000);
    assert.deepEqual(alarms, []);
  });
});

describe('whom it is taken from, and who may have it', () => {
  it('nobody is believed who is not named, and whoever is not allowed gets nothing', async () => {
    const { at, relay } = await relaying(gateway, {}, 'service/follower/*');
    const wary = verifier(follower, { feed: at, relays: 'service/other/*' });
    await assert.rejects(wary.ready(AbortSignal.timeout(700)));
    const stranger = verifier(await identity('stranger'), { feed: at, relays: GATEWAYS });
    await assert.rejects(stranger.ready(AbortSignal.timeout(700)));
    assert.equal(relay.followers, 0);
    assert.throws(
      () => createVerifier({ identity: follower, mode: 'strict', feed: at }),
      (error) => isWritError(error, 'bad_config'),
    );
    // The authority is no relay, either.
    const direct = verifier(follower, { feed: server.api, relays: GATEWAYS });
    await assert.rejects(direct.ready(AbortSignal.timeout(700)));
  });

  it('a relay that is revoked is cut off by the server and by those behind it, and serves nobody', async () => {
    const doomed = await identity('gateway', 'service');
    const { at, relay } = await relaying(doomed);
    const made = verifier(follower, { feed: at, relays: GATEWAYS });
    await made.ready(AbortSignal.timeout(5000));
    await server.json('cert', 'revoke', doomed.credential.serial, '--cause', 'key_theft');
    await until(() => relay.followers === 0, 2000);
    const { near } = await peer(await identity('planner'));
    await until(() => reasonOf(made.authorize(near)) === 'stale' && !made.well, 7000);
    // What it knew last says that its own certificate fell: nothing of it is trusted any more.
    await assert.rejects(made.ready(AbortSignal.timeout(500)));
    assert.equal(relay.followers, 0);
  });

  it('one that was held is read from again once it is released', async () => {
    const gate = await identity('gateway', 'service');
    const first = await relaying(gate);
    const made = verifier(follower, { feed: first.at, relays: GATEWAYS, strictMs: 2000 });
    await made.ready(AbortSignal.timeout(5000));
    const hold = ['--cause', 'clone_detected', '--quarantine'];
    const { id } = await server.json<{ id: string }>('stop', 'instance', gate.spiffeId.split('/').at(-1)!, ...hold);
    await until(() => first.relay.followers === 0 && !made.well, 5000);
    await server.json('release', id, '--here');
    await made.ready(AbortSignal.timeout(20_000));
    assert.equal(first.relay.followers, 1);
  });

  it('a relay behind another hears of its own stop through that one', async () => {
    const first = await relaying(gateway);
    const doomed = await identity('gateway', 'service');
    const second = await relaying(doomed, { feed: first.at, relays: GATEWAYS });
    let closed = false;
    second.relay.onClose(() => {
      closed = true;
    });
    await server.json('instance', 'stop', doomed.spiffeId.split('/').at(-1)!, '--yes');
    await until(() => closed, 2000);
    await assert.rejects(stream(follower, second.at).then(({ status }) => assert.equal(status, 200)));
  });

  it('a follower that is stopped loses its stream and gets no other', async () => {
    const { at, relay } = await relaying(gateway);
    const doomed = await identity('follower', 'service');
    const his = await stream(doomed, at);
    await until(() => his.text.includes('as_of'));
    await doomed.stop('key_theft');
    await until(() => his.ended, 1000);
    assert.equal(relay.followers, 0);
    await assert.rejects(stream(doomed, at));
  });

  it('what cannot be understood is refused, and one follower has no more than so many streams', async () => {
    const { at, relay } = await relaying(gateway);
    for (const [path, status] of [
      ['/v1/feed', 400],
      ['/v1/feed?signed=0', 400],
      ['/v1/feed?signed=1&point=a%20b', 400],
      ['/v1/feed?signed=1&from=1', 400],
      ['/v1/feed/signed-entries?after=x', 400],
      ['/v1/feed/entries', 404],
      ['/v1/agents', 404],
      ['/', 404],
    ] as const) {
      assert.equal((await stream(follower, at, '', path)).status, status, path);
    }
    const fetch = follower.fetch({ allow: GATEWAYS });
    for (const body of [
      '',
      '[]',
      '{"point":"a","log":1}',
      '{"point":"a b","log":1,"acks":[]}',
      '{"point":"a","log":-1,"acks":[]}',
      '{"point":"a","log":1,"acks":[{"position":1.5}]}',
      '{"point":"a","log":1,"acks":[],"more":1}',
      '{"point":"a","log":1,"acks":[],"behind":[{"point":"\\u0007","acks":[]}]}',
    ]) {
      assert.equal((await fetch(`${at}/v1/feed/acks`, { method: 'POST', body })).status, 400, body);
    }
    assert.equal((await fetch(`${at}/v1/feed/points`, { method: 'POST', body: '{"point":"a"}' })).status, 400);
    for (const body of [
      '{}',
      '{"nonces":[]}',
      '{"nonces":["short"]}',
      '{"nonces":["Zk3v9Qm2bT8xW1nLc0aPdg"],"more":1}',
    ]) {
      assert.equal((await fetch(`${at}/v1/feed/time`, { method: 'POST', body })).status, 400, body);
    }
    const many = await Promise.all(Array.from({ length: 70 }, () => stream(follower, at)));
    const statuses = many.map(({ status }) => status);
    assert.equal(statuses.filter((status) => status === 200).length, 64);
    assert.equal(statuses.filter((status) => status === 429).length, 6);
    relay.close();
    await until(() => many.every(({ ended }) => ended));
  });

  it('a server that signs with another key is followed on, also from what it signed before', async () => {
    const { at } = await relaying(gateway);
    const [wire, behind] = [await wireTo(at), await stream(follower, at)];
    const made = verifier(follower, { feed: wire.server, relays: GATEWAYS });
    await made.ready(AbortSignal.timeout(5000));
    const keys = (): Set<string> => new Set([...behind.text.matchAll(/"chain":\["([^"]*)"/g)].map(([, leaf]) => leaf!));
    await until(() => keys().size === 1);
    const [one, two] = [await identity('planner'), await identity('planner')];
    const [first, second] = [await peer(one), await peer(two)];
    // Away while one piece is signed with the old key and one with the new.
    wire.cut();
    await one.stop('key_theft');
    await server.json('ca', 'rotate');
    await until(() => keys().size > 1, 10_000);
    await two.stop('key_theft');
    wire.mend(at);
    await until(
      () => reasonOf(made.authorize(first.near)) === 'stopped' && reasonOf(made.authorize(second.near)) === 'stopped',
    );
    await made.ready(AbortSignal.timeout(5000));
  });

  it('a server that restarts is found again, and nothing is missed', async () => {
    const wire = await wireTo(server.api);
    const { at } = await relaying(gateway, { server: wire.server });
    const made = verifier(follower, { feed: at, relays: GATEWAYS });
    await made.ready(AbortSignal.timeout(5000));
    const [planner, other] = [await identity('planner'), await identity('planner')];
    const [one, two] = [await peer(planner), await peer(other)];
    wire.cut();
    server = await server.restart();
    await server.json('cert', 'revoke', planner.credential.serial, '--cause', 'key_theft');
    wire.mend(server.api);
    await until(() => reasonOf(made.authorize(one.near)) === 'stopped');
    await made.ready(AbortSignal.timeout(5000));
    assert.equal(reasonOf(made.authorize(two.near)), 'allowed');
  });
});

interface Stream {
  readonly status: number;
  text: string;
  ended: boolean;
}

/** Reads the stream of a relay by hand. */
function stream(as: Identity, at: string, query = '', path = `/v1/feed?signed=1${query}`): Promise<Stream> {
  const url = new URL(at);
  return new Promise((resolve, reject) => {
    const sent = https.request({
      ...{ host: url.hostname, port: url.port, path, agent: false },
      ...as.clientOptions({ allow: GATEWAYS }),
    });
    closing.push(() => sent.destroy());
    sent.on('error', reject);
    sent.on('response', (answer) => {
      const made: Stream = { status: answer.statusCode!, text: '', ended: false };
      answer.on('data', (chunk: Buffer) => {
        made.text += chunk.toString();
      });
      for (const event of ['end', 'error']) answer.on(event, () => (made.ended = true));
      resolve(made);
    });
    sent.end();
  });
}
