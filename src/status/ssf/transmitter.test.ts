import assert from 'node:assert/strict';
import type { LookupFunction } from 'node:net';
import { test } from 'node:test';
import { onBothEngines, onSqlite } from '../../../test/stores.ts';
import { isWritError } from '../../base/error.ts';
import { listener } from '../../http/testdata/listener.ts';
import { ADA, GATEWAY, ISSUER, receiver, world } from '../testdata/ssf-world.ts';
import { ageSets } from './age.ts';
import { CREDENTIAL_CHANGE, SESSION_REVOKED, STREAM_UPDATED, VERIFICATION } from './events.ts';
import {
  changeStream,
  createStream,
  removeStream,
  retryStream,
  setStreamStatus,
  showDeadSets,
  showStream,
  showStreams,
  verifyStream,
} from './manage.ts';
import { poller } from './poll.ts';
import { pusher } from './push.ts';
import { countSets } from './queue.ts';
import { DEAD_AFTER_MS, pauseAfter } from './transmitter.ts';

const jtis = (sets: Readonly<Record<string, string>>): string[] => Object.keys(sets);

onBothEngines(
  'a stop is pushed as CAEP has it, once, in order, with the header that the receiver wants',
  async (parts) => {
    const it = await world(parts);
    await using there = await receiver();
    const delivery = { method: 'push', endpoint: there.url, authorization: 'Bearer of-the-receiver' } as const;
    it.stop(3, 'instance:before');
    const stream = await createStream(ADA, { delivery, audience: 'urn:them' }, it.manage);
    const row = await parts.database.get('SELECT authorization_sealed FROM signal_stream');
    assert.equal(Buffer.from(row!['authorization_sealed'] as Uint8Array).includes('of-the-receiver'), false);
    assert.equal(JSON.stringify(parts.events).includes('of-the-receiver'), false);
    // The log is empty here, so that the stream begins with index 0, and what came before it is told as well.
    it.stop(7, 'instance:a');
    it.stop(8, 'serial:0123', 'stop');
    it.stop(9, 'instance:b', 'hold');
    it.stop(10, 'instance:b', 'release');
    const transmitter = it.transmitter();
    await it.turn(transmitter);
    await it.turn(transmitter);
    const claims = there.tokens.map(it.claimsOf);
    assert.deepEqual(
      claims.map(({ jti }) => jti),
      [3, 7, 8, 9].map((leaf) => `${stream.id}.${leaf}.0`),
    );
    assert.deepEqual(claims[1], {
      iss: ISSUER,
      aud: 'urn:them',
      jti: `${stream.id}.7.0`,
      iat: it.clock.now() / 1000,
      txn: 'writ:7',
      sub_id: { format: 'uri', uri: 'spiffe://agents.example.com/agent/planner/a' },
      events: {
        [SESSION_REVOKED]: {
          event_timestamp: it.clock.now() / 1000,
          reason_admin: { en: 'instance.stopped, ledger entry 7' },
        },
      },
    });
    const change = (claims[2]!['events'] as Record<string, object>)[CREDENTIAL_CHANGE];
    assert.deepEqual(
      { ...change },
      {
        credential_type: 'x509',
        change_type: 'revoke',
        x509_issuer: 'CN=issuing',
        x509_serial: '0123',
        event_timestamp: it.clock.now() / 1000,
        reason_admin: { en: 'certificate.stopped, ledger entry 8' },
      },
    );
    const [first] = there.headers;
    assert.equal(first!['content-type'], 'application/secevent+jwt');
    assert.equal(first!['authorization'], 'Bearer of-the-receiver');
    const shown = await showStream(ADA, stream.id, it.manage);
    assert.deepEqual([shown.delivered, await countSets(parts.database, stream.id)], [4, { waiting: 0, dead: 0 }]);
  },
);

onBothEngines('a receiver that is away gets everything later, in order and under the same jti', async (parts) => {
  const it = await world(parts);
  await using there = await receiver();
  await createStream(ADA, { delivery: { method: 'push', endpoint: there.url } }, it.manage);
  it.stop(1);
  it.stop(2);
  there.answers.push({ status: 503 }, { status: 307, headers: { Location: `${there.url}/elsewhere` } });
  const transmitter = it.transmitter();
  await it.turn(transmitter);
  assert.equal(there.tokens.length, 1, 'what comes behind waits');
  await it.turn(transmitter);
  assert.equal(there.tokens.length, 1, 'not before its time');
  it.clock.advance(2000);
  await it.turn(transmitter);
  assert.equal(there.tokens.length, 2, 'no redirect is followed');
  it.clock.advance(4000);
  // Another process goes on where this one stopped.
  await transmitter.end();
  await it.turn(it.transmitter('p2'));
  const leaves = there.tokens.map((token) => String(it.claimsOf(token)['jti']).split('.')[1]);
  assert.deepEqual(leaves, ['1', '1', '1', '2']);
});

onBothEngines('a crash between the answer and the record repeats, and loses nothing', async (parts) => {
  const it = await world(parts);
  await using there = await receiver();
  const stream = await createStream(ADA, { delivery: { method: 'push', endpoint: there.url } }, it.manage);
  it.stop(1);
  const dying = world({
    ...parts,
    commit: async (batch) => {
      if (batch.writes.some(({ sql }) => sql.startsWith('DELETE FROM signal_event'))) throw new Error('killed');
      return parts.commit(batch);
    },
  });
  const before = await dying;
  before.stops.push(...it.stops);
  await before.turn(before.transmitter('p1'));
  assert.deepEqual(await countSets(parts.database, stream.id), { waiting: 1, dead: 0 });
  // Who died holds the row for a while.
  await it.turn(it.transmitter('p2'));
  assert.equal(there.tokens.length, 1);
  it.clock.advance(11_000);
  await it.turn(it.transmitter('p2'));
  const [a, b] = there.tokens.map((token) => Buffer.from(token.split('.')[1]!, 'base64url').toString());
  assert.equal(a, b);
  assert.deepEqual(await countSets(parts.database, stream.id), { waiting: 0, dead: 0 });
});

onBothEngines('a process whose time is over while it pushes pushes no further', async (parts) => {
  const it = await world(parts);
  await using there = await receiver();
  const stream = await createStream(ADA, { delivery: { method: 'push', endpoint: there.url } }, it.manage);
  for (const leaf of [1, 2, 3, 4]) it.stop(leaf);
  const leaves = (): string[] => there.tokens.map((token) => String(it.claimsOf(token)['jti']).split('.')[1]!);
  // It stands still while the first answer is on its way, long enough for another to take over.
  const [stalled, other] = [it.transmitter('p1'), it.transmitter('p2')];
  const answered = Promise.withResolvers<void>();
  there.before.push(async () => {
    it.clock.advance(9500);
    await it.turn(other);
    assert.deepEqual(leaves(), ['1'], 'not before the time of the first is over');
    it.clock.advance(600);
    await it.turn(other);
    answered.resolve();
  });
  await it.turn(stalled);
  await answered.promise;
  assert.deepEqual(leaves(), ['1', '1', '2', '3', '4']);
  await it.turn(stalled);
  assert.equal(there.tokens.length, 5);
  assert.deepEqual(await countSets(parts.database, stream.id), { waiting: 0, dead: 0 });
});

onBothEngines('a receiver that does not know the key yet gets the token again', async (parts) => {
  const it = await world(parts);
  await using there = await receiver();
  const stream = await createStream(ADA, { delivery: { method: 'push', endpoint: there.url } }, it.manage);
  it.stop(1);
  there.answers.push({ status: 400, body: '{"err":"invalid_key"}' });
  const transmitter = it.transmitter();
  await it.turn(transmitter);
  assert.deepEqual(await countSets(parts.database, stream.id), { waiting: 1, dead: 0 });
  it.clock.advance(2000);
  await it.turn(transmitter);
  assert.deepEqual(await countSets(parts.database, stream.id), { waiting: 0, dead: 0 });
});

onBothEngines('what a receiver refuses for good is put aside, seen and tried again when asked', async (parts) => {
  const it = await world(parts);
  await using there = await receiver();
  const stream = await createStream(ADA, { delivery: { method: 'push', endpoint: there.url } }, it.manage);
  it.stop(1);
  it.stop(2);
  there.answers.push({ status: 400, body: '{"err":"invalid_audience","description":"<b>not</b> for us"}' });
  const transmitter = it.transmitter();
  await it.turn(transmitter);
  assert.equal(there.tokens.length, 2, 'the next one goes on');
  const dead = await showDeadSets(ADA, { after: { stream: '', number: 0 }, limit: 10 }, it.manage);
  assert.deepEqual(
    dead.map(({ jti, attempts, fault }) => [jti, attempts, fault]),
    [[`${stream.id}.1.0`, 1, 'The receiver said invalid_audience.']],
  );
  assert.deepEqual(await showDeadSets(GATEWAY, { after: { stream: '', number: 0 }, limit: 10 }, it.manage), []);
  await retryStream(ADA, stream.id, it.manage);
  await it.turn(transmitter);
  assert.equal(it.claimsOf(there.tokens[2]!)['jti'], `${stream.id}.1.0`);
  assert.deepEqual(await countSets(parts.database, stream.id), { waiting: 0, dead: 0 });
});

onSqlite(
  'what cannot be delivered for a day is put aside, and a wrong bearer is no reason to drop anything',
  async (parts) => {
    const it = await world(parts);
    await using there = await receiver();
    const stream = await createStream(ADA, { delivery: { method: 'push', endpoint: there.url } }, it.manage);
    it.stop(1);
    there.answers.push(
      { status: 400, body: '{"err":"authentication_failed"}' },
      { status: 500, body: 'x'.repeat(100_000) },
    );
    const transmitter = it.transmitter();
    await it.turn(transmitter);
    assert.deepEqual(await countSets(parts.database, stream.id), { waiting: 1, dead: 0 });
    it.clock.advance(DEAD_AFTER_MS);
    await it.turn(transmitter);
    assert.deepEqual(await countSets(parts.database, stream.id), { waiting: 0, dead: 1 });
  },
);

onBothEngines('two processes put every stop into a stream once', async (parts) => {
  const it = await world(parts);
  const stream = await createStream(ADA, {}, it.manage);
  for (let leaf = 1; leaf <= 250; leaf++) it.stop(leaf, `instance:${leaf}`);
  const both = [it.transmitter('p1'), it.transmitter('p2')];
  await Promise.all(both.map((one) => one.turn()));
  await Promise.all(both.map((one) => one.turn()));
  assert.deepEqual(await countSets(parts.database, stream.id), { waiting: 250, dead: 0 });
});

onBothEngines('polling gives until it is acknowledged, in order, and takes errors', async (parts) => {
  const it = await world(parts);
  const stream = await createStream(GATEWAY, { description: 'the gateway' }, it.manage);
  assert.deepEqual([stream.method, stream.owner], ['poll', 'spiffe://agents.example.com/service/gateway']);
  for (let leaf = 1; leaf <= 5; leaf++) it.stop(leaf, `instance:${leaf}`);
  await it.turn(it.transmitter());
  const poll = poller(it.polling);
  const at = (leaf: number): string => `${stream.id}.${leaf}.0`;
  const first = await poll(GATEWAY, stream.id, { maxEvents: 2, returnImmediately: true });
  assert.deepEqual([jtis(first.sets), first.moreAvailable], [[at(1), at(2)], true]);
  assert.equal(it.claimsOf(first.sets[at(1)]!)['jti'], at(1));
  const again = await poll(GATEWAY, stream.id, { maxEvents: 2, returnImmediately: true });
  assert.deepEqual(jtis(again.sets), [at(1), at(2)]);
  const ack = await poll(GATEWAY, stream.id, { maxEvents: 0, ack: [at(1)], setErrs: { [at(2)]: 'invalid_key' } });
  assert.deepEqual([jtis(ack.sets), ack.moreAvailable], [[], true]);
  const rest = await poll(GATEWAY, stream.id, { ack: [at(1), 'never heard of'] });
  assert.deepEqual([jtis(rest.sets), rest.moreAvailable], [[at(3), at(4), at(5)], false]);
  const [dead] = await showDeadSets(GATEWAY, { after: { stream: '', number: 0 }, limit: 10 }, it.manage);
  assert.deepEqual([dead?.jti, dead?.fault], [at(2), 'The receiver said invalid_key.']);
});

onSqlite('a poll waits for what comes, and a stop of anybody ends the wait', async (parts) => {
  const it = await world(parts);
  const stream = await createStream(GATEWAY, {}, it.manage);
  let epoch = 1;
  const server = new AbortController();
  const poll = poller({ ...it.polling, epoch: { current: () => epoch }, ending: server.signal });
  const waiting = poll(GATEWAY, stream.id, {});
  await verifyStream(GATEWAY, { id: stream.id, state: 'abc' }, it.manage);
  const { sets } = await waiting;
  const [token] = Object.values(sets);
  const claims = it.claimsOf(token!);
  assert.deepEqual(claims['events'], { [VERIFICATION]: { state: 'abc' } });
  assert.deepEqual(claims['sub_id'], { format: 'opaque', id: stream.id });
  assert.equal('sub' in claims || 'exp' in claims, false);
  await poll(GATEWAY, stream.id, { maxEvents: 0, ack: jtis(sets) });
  const second = poll(GATEWAY, stream.id, {});
  epoch = 2;
  assert.deepEqual(await second, { sets: {}, moreAvailable: true });
  const third = poll(GATEWAY, stream.id, {});
  server.abort();
  assert.deepEqual(await third, { sets: {}, moreAvailable: true });
});

onSqlite('streams are changed, paused, verified and ended by their owner alone', async (parts) => {
  const it = await world(parts);
  await using there = await receiver();
  const { manage } = it;
  const notFound = (error: unknown): boolean => isWritError(error, 'not_found');
  const stream = await createStream(ADA, { description: 'one' }, manage);
  for (const act of [
    () => showStream(GATEWAY, stream.id, manage),
    () => changeStream(GATEWAY, { id: stream.id, how: 'patch', input: {} }, manage),
    () => setStreamStatus(GATEWAY, { id: stream.id, status: 'paused' }, manage),
    () => verifyStream(GATEWAY, { id: stream.id }, manage),
    () => removeStream(GATEWAY, stream.id, manage),
    () => retryStream(GATEWAY, stream.id, manage),
    () => poller(it.polling)(GATEWAY, stream.id, {}),
  ]) {
    await assert.rejects(act, notFound);
  }
  assert.deepEqual(await showStreams(GATEWAY, manage), []);
  const push = { method: 'push', endpoint: there.url } as const;
  const pushed = await changeStream(ADA, { id: stream.id, how: 'patch', input: { delivery: push } }, manage);
  assert.deepEqual([pushed.description, pushed.endpoint, pushed.version], ['one', there.url, 2]);
  await assert.rejects(
    changeStream(ADA, { id: stream.id, how: 'patch', input: { audience: 'other' } }, manage),
    (error) => isWritError(error, 'bad_request'),
  );
  await setStreamStatus(ADA, { id: stream.id, status: 'paused', reason: 'maintenance' }, manage);
  it.stop(1);
  const transmitter = it.transmitter();
  await it.turn(transmitter);
  assert.deepEqual([there.tokens.length, await countSets(parts.database, stream.id)], [0, { waiting: 1, dead: 0 }]);
  await setStreamStatus(ADA, { id: stream.id, status: 'enabled' }, manage);
  await it.turn(transmitter);
  assert.equal(there.tokens.length, 1, 'what was held is sent');
  await verifyStream(ADA, { id: stream.id }, manage);
  await assert.rejects(verifyStream(ADA, { id: stream.id }, manage), (error) => isWritError(error, 'rate_limited'));
  await setStreamStatus(ADA, { id: stream.id, status: 'disabled' }, manage);
  it.stop(2);
  await it.turn(transmitter);
  assert.deepEqual(await countSets(parts.database, stream.id), { waiting: 0, dead: 0 });
  const bare = await changeStream(ADA, { id: stream.id, how: 'replace', input: {} }, manage);
  assert.deepEqual([bare.description, bare.method, bare.status], [undefined, 'poll', 'disabled']);
  await removeStream(ADA, stream.id, manage);
  await assert.rejects(showStream(ADA, stream.id, manage), notFound);
  const said = parts.events.map(({ body }) => body['change']);
  assert.deepEqual(said, ['created', 'updated', 'paused', 'enabled', 'disabled', 'updated', 'deleted']);
});

onBothEngines('a receiver is told, before and after, when somebody else stops its stream', async (parts) => {
  const it = await world(parts);
  await using there = await receiver();
  const delivery = { method: 'push', endpoint: there.url } as const;
  const pushed = await createStream(GATEWAY, { delivery }, it.manage);
  const polled = await createStream(GATEWAY, {}, it.manage);
  const transmitter = it.transmitter();
  const poll = async (): Promise<string[]> => {
    const { sets } = await poller(it.polling)(GATEWAY, polled.id, { returnImmediately: true });
    await poller(it.polling)(GATEWAY, polled.id, { maxEvents: 0, ack: jtis(sets) });
    return Object.values(sets);
  };
  const said = (token: string): unknown => {
    const { sub_id: subject, events } = it.claimsOf(token);
    const [[type, event]] = Object.entries(events as object) as [[string, object]];
    return type === STREAM_UPDATED ? [subject, event] : type;
  };
  const change = async (status: 'enabled' | 'paused' | 'disabled', reason?: string): Promise<void> => {
    for (const { id } of [pushed, polled]) await setStreamStatus(ADA, { id, status, reason }, it.manage);
  };
  const heard = async (): Promise<void> => {
    await it.turn(transmitter);
    const [ofPushed, ofPolled] = [there.tokens.splice(0), await poll()].map((tokens) => tokens.map(said));
    got.push(ofPushed!, ofPolled!);
  };
  const got: unknown[][] = [];
  for (const [status, reason] of [['paused', 'maintenance'], ['disabled'], ['enabled']] as const) {
    await change(status, reason);
    it.stop(got.length + 1);
    await heard();
    // Nothing else, and not twice.
    await heard();
  }
  const updated = (id: string, event: object): unknown => [{ format: 'opaque', id }, event];
  const about = (event: object): unknown[][] => [[updated(pushed.id, event)], [updated(polled.id, event)], [], []];
  const again = (id: string): unknown[] => [updated(id, { status: 'enabled' }), SESSION_REVOKED];
  assert.deepEqual(got, [
    ...about({ status: 'paused', reason: 'maintenance' }),
    ...about({ status: 'disabled' }),
    ...[again(pushed.id), again(polled.id), [], []],
  ]);
  // Its owner needs to be told nothing.
  await setStreamStatus(GATEWAY, { id: pushed.id, status: 'paused' }, it.manage);
  await it.turn(transmitter);
  assert.deepEqual(there.tokens, []);
});

onSqlite('only what was asked for is sent', async (parts) => {
  const it = await world(parts);
  const stream = await createStream(ADA, { eventsRequested: [CREDENTIAL_CHANGE, 'urn:unknown'] }, it.manage);
  it.stop(1, 'instance:a');
  it.stop(2, 'serial:01');
  await it.turn(it.transmitter());
  const { sets } = await poller(it.polling)(ADA, stream.id, { returnImmediately: true });
  assert.deepEqual(jtis(sets), [`${stream.id}.2.0`]);
});

onBothEngines('what nobody fetches is put aside after a week, and gone after a month', async (parts) => {
  const it = await world(parts);
  const stream = await createStream(ADA, {}, it.manage);
  for (let leaf = 1; leaf <= 1200; leaf++) it.stop(leaf);
  await it.turn(it.transmitter());
  const counts: object[] = [];
  for (const days of [6, 1, 22, 1]) {
    it.clock.advance(days * 86_400_000);
    await ageSets({ reader: parts.database, commit: parts.commit }, it.clock.now());
    counts.push(await countSets(parts.database, stream.id));
  }
  assert.deepEqual(counts, [
    { waiting: 1200, dead: 0 },
    { waiting: 0, dead: 1200 },
    { waiting: 0, dead: 1200 },
    { waiting: 0, dead: 0 },
  ]);
});

test('a receiver within TLS is known by roots of one’s own, and by its name', async () => {
  const tokens: string[] = [];
  await using there = await listener([
    {
      method: 'POST',
      path: '/events',
      access: 'public',
      async handle({ body }) {
        tokens.push(Buffer.from(body).toString());
        return { status: 202, body: '' };
      },
    },
  ]);
  const loopback: LookupFunction = (_host, options, callback) =>
    options.all === true ? callback(null, [{ address: '127.0.0.1', family: 4 }]) : callback(null, '127.0.0.1', 4);
  const rules = { allowHttp: false, allowNetworks: ['127.0.0.0/8'], resolve: loopback };
  const to = (host: string) => ({ endpoint: `https://${host}:${there.port}/events`, token: 'a.b.c' });
  const push = pusher({ ...rules, roots: [there.ca] });
  assert.deepEqual(await push(to('localhost')), { outcome: 'delivered' });
  assert.equal((await push(to('receiver.example.com'))).outcome, 'again');
  assert.equal((await pusher(rules)(to('localhost'))).outcome, 'again');
  assert.deepEqual(tokens, ['a.b.c']);
});

test('pauses double, with jitter, to five minutes and no more', () => {
  for (const [attempts, least] of [
    [0, 1000],
    [1, 2000],
    [5, 32_000],
    [9, 300_000],
    [1000, 300_000],
  ] as const) {
    const pause = pauseAfter(attempts);
    assert.ok(pause >= least && pause <= least * 1.25, `${attempts}: ${pause}`);
  }
});
