/** Two machines that run one installation on one PostgreSQL: what happens at one holds at the other. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from '../../src/http/client.ts';
import { postgresMissing } from '../postgres.ts';
import type { RunningServer } from '../program.ts';
import { failureOf, type Issued } from './authority.ts';
import {
  clientOf,
  csrFor,
  enrol,
  issuerOf,
  type Leaf,
  newKey,
  operatorClient,
  renew,
  rootsIn,
  startLoad,
  whoami,
} from './clients.ts';
import { type Machine, newSite, type Site } from './replica.ts';

/** Far beyond what is promised (a second): how long it really took is in the diagnostics. */
const DEADLINE_MS = 5000;
/** How many at once try for what one of them can have. */
const RACERS = 4;
const RACES = 5;
const OWNER = { team: 'journeys', sponsor: 'sponsor@example.com' } as const;

interface Replica {
  readonly roots: readonly string[];
  readonly machine: Machine;
  readonly server: RunningServer;
  /** As the first operator. */
  readonly operator: Client;
  /** As nobody. */
  readonly open: Client;
}

const skip = postgresMissing() ?? false;
const site: Site | undefined = skip === false ? await newSite() : undefined;
const replicas: readonly Replica[] = site === undefined ? [] : await startTwo(site);
const [one, other] = replicas as [Replica, Replica];

async function startTwo(at: Site): Promise<readonly Replica[]> {
  const machines = [at.machine(), at.machine()];
  const started: Replica[] = [];
  for (const machine of machines) {
    const server = await machine.start();
    // The first operator is handed out where the installation was made.
    const credential = machines[0]!.operator;
    const operator = operatorClient(credential, server.api);
    const roots = rootsIn(credential);
    const open = clientOf(server.api, roots);
    after(() => [operator, open].map((client) => client.close()));
    started.push({ machine, server, roots, operator, open });
  }
  const body = { name: 'planner', owner: OWNER, purpose: 'plans' };
  await started[0]!.operator.json({ method: 'POST', path: '/v1/agents', body });
  return started;
}

const tokenFor = async (uses: number, at: Replica = one): Promise<string> => {
  const made = { method: 'POST', path: '/v1/tokens', body: { agent: 'planner', uses } } as const;
  return (await at.operator.json<{ token: string }>(made)).token;
};
const asAdministrator = async (...argv: string[]): Promise<void> => {
  const said = await one.machine.cli(argv);
  assert.equal(said.code, 0, said.stderr);
};

/** Milliseconds until it holds; fails past the deadline. */
async function until(what: string, holds: () => Promise<boolean>): Promise<number> {
  const begun = performance.now();
  while (!(await holds())) {
    assert.ok(performance.now() - begun < DEADLINE_MS, `waited in vain: ${what}`);
    await pause(5);
  }
  return performance.now() - begun;
}

test('who is enrolled at one replica renews at the other', { skip }, async () => {
  const token = await tokenFor(1);
  const leaf = await enrol(one.open, token);
  const away = clientOf(other.server.api, one.roots, leaf);
  assert.equal(await whoami(away), leaf.id);
  const next = await renew(away);
  away.close();
  assert.deepEqual([next.id, next.serial === leaf.serial], [leaf.id, false]);
  const home = clientOf(one.server.api, one.roots, next);
  assert.equal(await whoami(home), leaf.id);
  home.close();
});

test('what is revoked at one is refused at the other, also on a connection that lives', { skip }, async (context) => {
  const token = await tokenFor(2 * RACES);
  const delays: number[] = [];
  for (let n = 0; n < 2 * RACES; n++) {
    const [here, there] = n % 2 === 0 ? [one, other] : [other, one];
    const leaf = await enrol(here.open, token);
    const client = clientOf(there.server.api, one.roots, leaf);
    assert.equal(await whoami(client), leaf.id);
    const path = `/v1/certificates/${leaf.serial}/revoke`;
    await here.operator.json({ method: 'POST', path, body: { cause: 'key_theft' }, idempotencyKey: randomUUID() });
    delays.push(await until('the refusal', async () => (await codeOf(whoami(client))) === 'revoked'));
    assert.equal((await failureOf(renew(client))).code, 'revoked');
    client.close();
    const anew = clientOf(there.server.api, one.roots, leaf);
    assert.equal((await failureOf(whoami(anew))).code, 'revoked');
    anew.close();
  }
  context.diagnostic(`refused at the other after ${delays.map((ms) => ms.toFixed(0)).join(', ')} ms`);
});

test('a policy set that is published at one binds the other', { skip }, async (context) => {
  const shown = await one.operator.json<{ text: string; version: number }>({ path: '/v1/policy' });
  const rule =
    '@id("no-nobody") @description("Nobody is called nobody.")\n' +
    'forbid (principal, action == Action::"agent.register", resource == Agent::"nobody");\n';
  const rules = join(site!.scratch, 'rules.cedar');
  writeFileSync(rules, `${shown.text}\n${rule}`);
  await asAdministrator('policy', 'publish', rules);
  const waited = await until('the rule', async () => {
    const { version } = await other.operator.json<{ version: number }>({ path: '/v1/policy' });
    return version === shown.version + 1;
  });
  for (const { operator } of replicas) {
    const asked = {
      method: 'POST',
      path: '/v1/agents',
      body: { name: 'nobody', owner: OWNER, purpose: 'plans' },
    } as const;
    assert.equal(await codeOf(operator.json(asked)), 'denied');
  }
  context.diagnostic(`in force at the other after ${waited.toFixed(0)} ms`);
});

test('both sign with the successor of the issuing authority, and no request fails meanwhile', { skip }, async () => {
  const token = await tokenFor(5000);
  const old = await enrol(other.open, token);
  const load = await startLoad(other.server.api, one.roots, token, { renewers: 2 });
  await pause(200);
  await asAdministrator('ca', 'rotate');
  await until('the successor', async () => issuerOf(await enrol(other.open, token)) !== issuerOf(old));
  await pause(200);
  const { renewed } = await load.stop();
  assert.equal(new Set(renewed.map(issuerOf)).size, 2, 'the load saw both');
  const fresh = await enrol(one.open, token);
  assert.notEqual(issuerOf(fresh), issuerOf(old));
  // A leaf that shows no authority above it: each replica has to know the issuer already.
  for (const leaf of [old, fresh]) {
    for (const { server } of replicas) {
      const client = clientOf(server.api, one.roots, leaf, { alone: true });
      assert.equal(await whoami(client), leaf.id);
      client.close();
    }
  }
});

test('a token for one lets one in, wherever it is shown', { skip }, async () => {
  for (let race = 0; race < RACES; race++) {
    const token = await tokenFor(1, replicas[race % 2]);
    const outcomes = await Promise.allSettled(
      Array.from({ length: RACERS }, (_, n) => enrol(replicas[n % 2]!.open, token)),
    );
    const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason.code] : []));
    assert.deepEqual(refused, Array(RACERS - 1).fill('token_refused'));
  }
});

test('the same request gets the same answer, wherever it is repeated', { skip }, async () => {
  const { instance } = await enrol(one.open, await tokenFor(1));
  const ask = async (at: Replica, idempotencyKey: string, body: object): Promise<string> => {
    const answer = await at.operator.json<Issued>({ method: 'POST', path: '/v1/certificates', body, idempotencyKey });
    return answer.certificate;
  };
  for (let race = 0; race < RACES; race++) {
    const key = randomUUID();
    const body = { instance, csr: await csrFor(newKey()) };
    const answers = await Promise.all(Array.from({ length: RACERS }, (_, n) => ask(replicas[n % 2]!, key, body)));
    assert.equal(new Set(answers).size, 1);
    for (const replica of replicas) assert.equal(await ask(replica, key, body), answers[0]);
  }
  const path = `/v1/certificates?instance=${instance}&limit=200`;
  const { items } = await other.operator.json<{ items: unknown[] }>({ path });
  assert.equal(items.length, 1 + RACES, 'one for each request, and that of the enrolment');
});

test('both sweep without getting into each other’s way', { skip }, async () => {
  const rows = async (): Promise<number> =>
    Number((await site!.query('SELECT COUNT(*) AS n FROM idempotency'))[0]!['n']);
  const before = await rows();
  assert.ok(before > 20, `${before} first answers are kept`);
  await site!.query('UPDATE idempotency SET expires_at = 1');
  const begun = performance.now();
  while ((await rows()) > 0) {
    assert.ok(performance.now() - begun < 15_000, 'nobody sweeps');
    await pause(100);
  }
});

test('one goes on when the other dies, and they leave one sound ledger', { skip }, async () => {
  const token = await tokenFor(5000, other);
  const load = await startLoad(other.server.api, one.roots, token, { renewers: 2 });
  const leaf: Leaf = await enrol(one.open, token);
  const killed = await one.server.kill();
  await pause(300);
  await load.stop();
  const client = clientOf(other.server.api, one.roots, leaf);
  assert.equal(await whoami(client), leaf.id);
  client.close();
  const again = await one.machine.start({ args: ['--passphrase-file', one.machine.passphrase] });
  const stopped = [killed, await again.stop(), await other.server.stop()];
  for (const { stderr } of stopped) {
    const complaints = stderr.split('\n').filter((line) => /"level":"(warn|error)"/.test(line));
    assert.deepEqual(complaints, []);
  }
  const verified = JSON.parse((await other.machine.cli(['ledger', 'verify', '--json'])).stdout);
  assert.deepEqual([verified.verified, verified.findings], [true, []]);
});

/** The code of the error that a promise rejects with; undefined when it does not. */
async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  return promise.then(
    () => undefined,
    (error: { code?: string }) => error.code ?? String(error),
  );
}
