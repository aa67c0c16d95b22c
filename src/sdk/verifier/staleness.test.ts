/** How old the feed may be, for whom, against a running authority, with a clock that is moved. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connected, reasonOf, until } from '../../../test/feed.ts';
import { testServer } from '../../../test/server.ts';
import { isWritError } from '../../base/error.ts';
import { connect } from '../enrolment/connect.ts';
import { type FeedWire, feedWire } from '../feed/testdata/wire.ts';
import type { Identity } from '../identity/identity.ts';
import { type MachineClock, machineClock } from '../machine-clock.ts';
import { isStale, stalenessOf } from './staleness.ts';
import { Verifier } from './verifier.ts';

const server = await testServer({ args: ['--threads', '1'] });
const closing: (() => void)[] = [];
after(() => {
  for (const close of closing.reverse()) close();
});

async function identity(name: string, kind: 'agent' | 'service' = 'agent', profile?: string): Promise<Identity> {
  const owned = ['--team', 'tests', '--sponsor', 'ada@example.com', '--purpose', 'tests'];
  if (profile !== undefined) await server.json(kind, 'register', name, '--profile', profile, ...owned);
  const token =
    profile === undefined
      ? await server.token(name, kind)
      : (await server.json<{ token: string }>('token', 'create', name)).token;
  const made = await connect({ token });
  closing.push(() => made.close());
  return made;
}

/** A profile like another, but ephemeral. */
async function ephemeral(name: string, like: string): Promise<string> {
  const { version: _, updated_at: __, ...shown } = await server.json('profile', 'show', like);
  const file = join(server.scratch, `${name}.json`);
  const lifetime = { default: 300, least: 60, most: 300 };
  writeFileSync(file, JSON.stringify({ ...shown, name, lifetime, revocation: 'ephemeral' }));
  await server.json('profile', 'publish', file);
  return name;
}

interface Moved extends MachineClock {
  /** Lets so many milliseconds pass, of one of the clocks or of both. */
  move(ms: number, which?: 'steady' | 'wall'): void;
}

function movedClock(): Moved {
  const ahead = { steady: 0, wall: 0 };
  return {
    steady: () => machineClock.steady() + ahead.steady,
    wall: () => machineClock.wall() + ahead.wall,
    move(ms, which) {
      for (const one of which === undefined ? (['steady', 'wall'] as const) : [which]) ahead[one] += ms;
    },
  };
}

interface Moving {
  readonly made: Verifier;
  readonly clock: Moved;
  readonly wire: FeedWire;
  /** Lets the feed be as old as that, in the same turn. */
  age(ms: number, which?: 'steady' | 'wall'): void;
}

const gateway = await identity('gateway', 'service');

/** A verifier with the limits that hold when nothing is said of them; well, and then cut off. */
async function cutOff(mode: 'strict' | 'available'): Promise<Moving> {
  const wire = await feedWire(server.api);
  const clock = movedClock();
  const made = new Verifier({ identity: gateway, mode, server: wire.server }, clock);
  closing.push(wire.close, () => made.close());
  await made.ready(AbortSignal.timeout(10_000));
  wire.cut();
  return { made, clock, wire, age: (ms, which) => clock.move(ms - made.age, which) };
}

/** Nothing in a test may be waited for between two ages. */
const JUST = 50;

test('strict ends after five seconds and available after fifteen minutes, unless told otherwise', async () => {
  const { near, close } = await connected(await identity('planner'), gateway);
  closing.push(close);
  for (const [mode, limit] of [
    ['strict', 5000],
    ['available', 900_000],
  ] as const) {
    for (const which of ['steady', 'wall'] as const) {
      const { made, age } = await cutOff(mode);
      age(limit - JUST, which);
      assert.equal(reasonOf(made.authorize(near)), 'allowed', `${mode} ${which}`);
      age(limit + JUST, which);
      assert.equal(reasonOf(made.authorize(near)), 'stale', `${mode} ${which}`);
    }
  }
});

test('either raises its alarm after five seconds', async () => {
  for (const mode of ['strict', 'available'] as const) {
    const { made, age } = await cutOff(mode);
    const alarms: number[] = [];
    made.on('alarm', (alarm) => alarms.push(alarm.age));
    age(4000);
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.deepEqual([alarms, made.well], [[], true], mode);
    age(5000 + JUST);
    await until(() => alarms.length === 1, 1000);
    assert.ok(alarms[0]! > 5000 && !made.well, mode);
  }
});

test('limits that are given count, and no ephemeral peer has the longer one', () => {
  const strict = stalenessOf({ mode: 'strict', strictMs: 10, staleMs: 30 });
  const available = stalenessOf({ mode: 'available', strictMs: 20, staleMs: 30 });
  const odd = stalenessOf({ mode: 'available', strictMs: 50, staleMs: 30 });
  for (const [limits, age, usual, brief] of [
    [strict, 10, false, false],
    [strict, 11, true, true],
    [available, 20, false, false],
    [available, 21, false, true],
    [available, 31, true, true],
    [odd, 31, true, true],
    [available, Number.POSITIVE_INFINITY, true, true],
  ] as const) {
    assert.deepEqual([isStale(limits, age, false), isStale(limits, age, true)], [usual, brief], JSON.stringify(age));
  }
});

test('available refuses ephemeral peers as strict does, and lets go of their connections; the others go on', async () => {
  const brief = await identity('brief', 'agent', await ephemeral('short', 'agent'));
  const usual = await identity('planner');
  const { made, age, wire } = await cutOff('available');
  const allow = ['agent/brief/*', 'agent/planner/*'];
  const listener = https.createServer(
    made.serverOptions(),
    made.guard((_, answer) => answer.end('yes'), { allow }),
  );
  made.protect(listener, { allow });
  listener.on('tlsClientError', () => {});
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  closing.push(() => {
    listener.close();
    listener.closeAllConnections();
  });
  let connections = 0;
  listener.on('secureConnection', () => {
    connections += 1;
  });
  const ask = asker((listener.address() as AddressInfo).port);
  const [one, two] = [await connected(brief, gateway), await connected(usual, gateway)];
  closing.push(one.close, two.close);
  for (const { near } of [one, two]) made.track(near);
  assert.deepEqual([await ask(brief), await ask(usual), connections], [200, 200, 2]);
  const closed: string[] = [];
  one.far.once('close', () => closed.push('brief'));
  two.far.once('close', () => closed.push('usual'));

  age(5000 - JUST);
  assert.deepEqual(
    [one, two].map(({ near }) => reasonOf(made.authorize(near))),
    ['allowed', 'allowed'],
  );
  age(5000 + JUST);
  assert.deepEqual(
    [one, two].map(({ near }) => reasonOf(made.authorize(near))),
    ['stale', 'allowed'],
  );
  await until(() => closed.length > 0, 1000);
  // The one that was kept is closed, and no new one is taken; over the other's kept one goes the next request.
  const before = connections;
  assert.notEqual(await ask(brief), 200);
  assert.notEqual(await ask(brief), 200);
  const refused = connections;
  assert.equal(await ask(usual), 200);
  assert.deepEqual([refused > before, connections, closed], [true, refused, ['brief']]);

  // As soon as all is known again they come back, and whoever was stopped meanwhile does not.
  const stopped = await identity('brief-too', 'agent', 'short');
  const pair = await connected(stopped, gateway);
  closing.push(pair.close);
  await server.json('cert', 'revoke', stopped.credential.serial, '--cause', 'key_theft');
  assert.equal(reasonOf(made.authorize(pair.near)), 'stale');
  wire.mend(server.api);
  await made.ready(AbortSignal.timeout(5000));
  assert.equal(reasonOf(made.authorize(pair.near)), 'stopped');
  assert.deepEqual([await ask(brief), await ask(usual)], [200, 200]);
});

test('a client in available trusts no ephemeral server then, and says why', async () => {
  const brief = await identity('cache', 'service', await ephemeral('short-service', 'service'));
  const usual = await identity('database', 'service');
  const { made, age } = await cutOff('available');
  const fetch = made.fetch({ allow: ['service/cache/*', 'service/database/*'] });
  const urls: string[] = [];
  for (const one of [brief, usual]) {
    const listener = https.createServer(one.serverOptions(), (_, answer) => answer.end('rows'));
    await once(listener.listen(0, '127.0.0.1'), 'listening');
    closing.push(() => {
      listener.close();
      listener.closeAllConnections();
    });
    urls.push(`https://127.0.0.1:${(listener.address() as AddressInfo).port}/`);
    assert.equal((await fetch(urls.at(-1)!)).status, 200);
  }
  age(5000 + JUST);
  await new Promise((resolve) => setTimeout(resolve, 300));
  await assert.rejects(
    fetch(urls[0]!),
    (error) => isWritError(error, 'unavailable') && error.message.includes('ephemeral'),
  );
  assert.equal((await fetch(urls[1]!)).status, 200);
});

/** Asks a server over one kept connection an identity: the status, or the code of what went wrong. */
function asker(port: number): (as: Identity) => Promise<number | string> {
  const agents = new Map<Identity, https.Agent>();
  return (as) => {
    const agent =
      agents.get(as) ?? new https.Agent({ ...as.clientOptions({ allow: 'service/gateway/*' }), keepAlive: true });
    if (!agents.has(as)) closing.push(() => agent.destroy());
    agents.set(as, agent);
    return new Promise((resolve) => {
      https
        .get({ port, host: '127.0.0.1', agent }, (answer) =>
          answer.resume().on('end', () => resolve(answer.statusCode!)),
        )
        .on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    });
  };
}
