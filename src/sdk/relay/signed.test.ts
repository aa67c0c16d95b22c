/** A relay that was taken over: what it can do to those behind it, which is to be silent. */
import assert from 'node:assert/strict';
import { sign, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { type Connected, connected, reasonOf, until } from '../../../test/feed.ts';
import { testServer } from '../../../test/server.ts';
import { type FeedStatement, type SignedStatement, signedOctets } from '../../wire/feed-statement.ts';
import { connect } from '../enrolment/connect.ts';
import type { Identity } from '../identity/identity.ts';
import type { VerifierOptions } from '../verifier/options.ts';
import { createVerifier, type Verifier } from '../verifier/verifier.ts';
import { type FalseRelay, falseRelay, type Tamper } from './testdata/false-relay.ts';

const server = await testServer({ args: ['--threads', '2'] });
const closing: (() => void)[] = [];
after(() => {
  for (const close of closing.reverse()) close();
});

async function identity(name: string, kind: 'agent' | 'service' = 'agent'): Promise<Identity> {
  const made = await connect({ token: await server.token(name, kind) });
  closing.push(() => made.close());
  return made;
}

const GATEWAYS = 'service/gateway/*';
const [gateway, follower, echo] = [
  await identity('gateway', 'service'),
  await identity('follower', 'service'),
  await identity('echo', 'service'),
];
const honest = await honestRelay();

async function honestRelay(): Promise<string> {
  const made = createVerifier({ identity: gateway, mode: 'available' });
  const listener = https.createServer(made.serverOptions());
  made.relay(listener, { allow: ['service/follower/*', 'service/gateway/*'] });
  listener.on('tlsClientError', () => undefined);
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  closing.push(() => {
    made.close();
    listener.close();
    listener.closeAllConnections();
  });
  await made.ready(AbortSignal.timeout(10_000));
  return `https://127.0.0.1:${(listener.address() as AddressInfo).port}`;
}

/** Longer than a follower puts up with silence. */
const LIMIT_MS = 4500;

interface Followed {
  readonly relay: FalseRelay;
  readonly made: Verifier;
  readonly causes: string[];
}

/** A follower of a relay that is honest so far. */
async function followed(options: Partial<VerifierOptions> = {}, tamper?: Tamper): Promise<Followed> {
  const relay = await falseRelay({ identity: gateway, to: honest, allow: GATEWAYS });
  if (tamper !== undefined) relay.tamper(tamper);
  const { feed = [], ...others } = options;
  const made = createVerifier({
    ...{ identity: follower, mode: 'strict', strictMs: LIMIT_MS, relays: GATEWAYS, feed: [relay.at, ...feed] },
    ...others,
  });
  closing.push(relay.close, () => made.close());
  const causes: string[] = [];
  made.on('alarm', ({ cause }) => causes.push(cause?.message ?? ''));
  return { relay, made, causes };
}

async function well(made: Verifier): Promise<void> {
  await made.ready(AbortSignal.timeout(10_000));
}

async function peer(client: Identity): Promise<Connected> {
  const pair = await connected(client, echo);
  closing.push(pair.close);
  return pair;
}

function altered(signed: SignedStatement, change: object): SignedStatement {
  return { ...signed, statement: JSON.stringify({ ...JSON.parse(signed.statement), ...change }) };
}

/** By the relay's own key, with its own certificate, of the same root. */
function ownWord(signed: SignedStatement): SignedStatement {
  const { key, certificate, chain } = gateway.credential;
  const der = [certificate, ...chain].map((pem) => new X509Certificate(pem).raw.toString('base64'));
  return { ...signed, chain: der, signature: sign('sha256', signedOctets(signed.statement), key).toString('base64') };
}

/** Ways of keeping a stop to oneself. */
const HIDING: Readonly<Record<string, () => Tamper>> = {
  'leaves out an entry': () => (said, signed) => (said.kind === 'entries' ? undefined : signed),
  'leaves the stopped out of an entry': () => (said, signed) =>
    said.kind === 'entries' ? altered(signed, { entries: [] }) : signed,
  'leaves out an entry, and heartbeats that tell of it': () => {
    let position: number | undefined;
    return (said, signed) => {
      if (said.kind === 'entries') return undefined;
      if (said.kind !== 'state') return signed;
      position ??= said.position;
      return said.position > position ? undefined : signed;
    };
  },
  'says something else in place of entries and heartbeats': () => (said, signed) =>
    said.kind === 'entries' || said.kind === 'state' ? 'event: other\ndata: {}\n\n' : signed,
  'says the last heartbeat before it again and again': () => {
    let last: SignedStatement | undefined;
    return (said, signed) => {
      if (said.kind === 'entries') return undefined;
      if (said.kind !== 'state') return signed;
      last ??= signed;
      return last;
    };
  },
  'makes the last heartbeat before it newer': () => {
    let last: SignedStatement | undefined;
    return (said, signed) => {
      if (said.kind === 'entries') return undefined;
      if (said.kind !== 'state') return signed;
      last ??= signed;
      return altered(last, { as_of: said.as_of, time: said.time, epoch: said.epoch });
    };
  },
  'signs heartbeats itself': () => {
    let position: number | undefined;
    return (said, signed) => {
      if (said.kind === 'entries') return undefined;
      if (said.kind !== 'state') return signed;
      position ??= said.position;
      return ownWord(altered(signed, { position }));
    };
  },
  'says heartbeats of its own that nobody has signed': () => {
    let position: number | undefined;
    return (said, signed) => {
      if (said.kind === 'entries') return undefined;
      if (said.kind !== 'state') return signed;
      position ??= said.position;
      return `event: heartbeat\ndata: ${JSON.stringify({ ...said, position })}\n\n`;
    };
  },
};

test('whatever it does to hide a stop, a strict follower goes on no longer than it may, and says of whom', async () => {
  const planner = await identity('planner');
  const { near } = await peer(planner);
  const all = await Promise.all(
    Object.entries(HIDING).map(async ([what, how]) => {
      const one = await followed();
      await well(one.made);
      return { what, tamper: how(), ...one };
    }),
  );
  for (const { what, relay, made, tamper } of all) {
    assert.equal(reasonOf(made.authorize(near)), 'allowed', what);
    // From pages they are not told either.
    relay.tamper((said, signed) => (said.kind === 'page' ? undefined : tamper(said, signed)));
  }
  // Until it has a heartbeat to say again.
  await new Promise((resolve) => setTimeout(resolve, 1200));
  await server.json('cert', 'revoke', planner.credential.serial, '--cause', 'key_theft');
  const late = performance.now() + LIMIT_MS + 1500;
  for (const { what, relay, made, causes } of all) {
    while (reasonOf(made.authorize(near)) !== 'stale') {
      assert.ok(performance.now() < late, what);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await until(() => causes.length > 0);
    assert.ok(causes[0]!.includes(relay.at), `${what}: ${causes[0]}`);
  }
});

test('another relay is asked where there is one, at once when something was changed', async () => {
  const { relay, made, causes } = await followed({ feed: [honest] });
  await well(made);
  const planner = await identity('planner');
  const { near } = await peer(planner);
  assert.equal(reasonOf(made.authorize(near)), 'allowed');
  relay.tamper(HIDING['leaves the stopped out of an entry']!());
  await server.json('cert', 'revoke', planner.credential.serial, '--cause', 'key_theft');
  await until(() => reasonOf(made.authorize(near)) === 'stopped', 2000);
  await well(made);
  assert.deepEqual(causes, []);
});

test('where what is left out shows, the pages have it, also from the same relay', async () => {
  const { relay, made, causes } = await followed();
  await well(made);
  const planner = await identity('planner');
  const { near } = await peer(planner);
  assert.equal(reasonOf(made.authorize(near)), 'allowed');
  relay.tamper(HIDING['leaves out an entry']!());
  await server.json('cert', 'revoke', planner.credential.serial, '--cause', 'key_theft');
  await until(() => reasonOf(made.authorize(near)) === 'stopped', 3000);
  assert.deepEqual(causes, []);
});

test('an entry that is left out shows by the next one', async () => {
  const { relay, made } = await followed();
  await well(made);
  const [planner, other] = [await identity('planner'), await identity('planner')];
  const [one, two] = [await peer(planner), await peer(other)];
  let left: number | undefined;
  relay.tamper((said, signed) => {
    if (said.kind === 'page') return undefined;
    if (said.kind === 'entries') left ??= said.position;
    if (said.kind === 'entries' && said.position === left) return undefined;
    return said.kind === 'state' && said.position === left ? undefined : signed;
  });
  await server.json('cert', 'revoke', planner.credential.serial, '--cause', 'key_theft');
  await until(() => left !== undefined);
  await server.json('cert', 'revoke', other.credential.serial, '--cause', 'key_theft');
  await until(() => reasonOf(made.authorize(one.near)) === 'stale', LIMIT_MS + 1500);
  // Nothing was taken of what came after the gap.
  assert.equal(reasonOf(made.authorize(two.near)), 'stale');
});

/** What it could answer to somebody who has just come, and knows nothing yet. */
const BEGINNINGS: Readonly<Record<string, (before: ReadonlyMap<string, SignedStatement>) => Tamper>> = {
  'another page than the one that was asked for': (before) => (said, signed) =>
    said.kind === 'page' ? before.get('other page')! : signed,
  'an older page': (before) => (said, signed) =>
    said.kind === 'entries' ? undefined : said.kind === 'page' ? before.get('page')! : signed,
  'an older time': (before) => (said, signed) => (said.kind === 'time' ? before.get('time')! : signed),
  'an older time, page and heartbeat': (before) => (said) =>
    said.kind === 'entries' ? undefined : before.get(said.kind)!,
  'an older page and heartbeat': (before) => (said, signed) =>
    said.kind === 'entries' ? undefined : said.kind === 'time' ? signed : before.get(said.kind)!,
  'an older time that was made to fit': (before) => (said) =>
    said.kind === 'time' ? altered(before.get('time')!, { nonces: said.nonces }) : before.get(said.kind)!,
  'a heartbeat for the time': (before) => (said, signed) => (said.kind === 'time' ? before.get('state')! : signed),
};

test('nobody who comes anew is well with what is old, foreign or changed', async () => {
  const planner = await identity('planner');
  const { near } = await peer(planner);
  const before = new Map<string, SignedStatement>();
  const { made } = await followed({}, (said: FeedStatement, signed) => {
    if (!before.has(said.kind)) before.set(said.kind, signed);
    return signed;
  });
  await well(made);
  await until(() => before.has('state') && before.has('page') && before.has('time'));
  const position = (JSON.parse(before.get('state')!.statement) as { position: number }).position;
  const other = await follower.fetch({ allow: GATEWAYS })(`${honest}/v1/feed/signed-entries?after=${position + 1}`);
  before.set('other page', (await other.json()) as SignedStatement);
  await server.json('cert', 'revoke', planner.credential.serial, '--cause', 'key_theft');
  await until(() => reasonOf(made.authorize(near)) === 'stopped');
  // Long enough for what was said then to be too old now.
  await new Promise((resolve) => setTimeout(resolve, LIMIT_MS + 100));
  await Promise.all(
    Object.entries(BEGINNINGS).map(async ([what, how]) => {
      const late = await followed({}, how(before));
      late.relay.helloTime((JSON.parse(before.get('state')!.statement) as { time: number }).time);
      await assert.rejects(late.made.ready(AbortSignal.timeout(3000)), what);
      const decision = reasonOf(late.made.authorize(near));
      assert.ok(decision === 'stale' || decision === 'stopped', `${what}: ${decision}`);
    }),
  );
});
