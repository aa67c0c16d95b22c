/** Authorities that succeed each other by themselves, under load: nobody asked for it and nobody notices. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { Hierarchy } from '../../src/ca/hierarchy.ts';
import { openssl, pathOf, skipOf } from '../interop/tools.ts';
import { type Aged, type AgedServer, agedInstallation, startAged } from './aged.ts';
import { clientOf, enrol, issuerOf, type Leaf, rootsIn, startLoad, whoami } from './clients.ts';

const OPENSSL = openssl();

interface Ready {
  readonly roots: readonly string[];
  readonly token: string;
}

/** Adds an operator, an agent and a token of many uses. */
async function furnish(installation: Aged, { api }: AgedServer): Promise<Ready> {
  const operator = join(installation.scratch, 'ada.json');
  assert.equal((await installation.cli('operator', 'add', 'ada', '--person', 'admin', '--out', operator)).code, 0);
  const ask = async (...argv: string[]): Promise<Record<string, unknown>> => {
    const said = await installation.cli(...argv, '--json', '--operator', operator, '--server', api);
    assert.equal(said.code, 0, said.stderr);
    return JSON.parse(said.stdout) as Record<string, unknown>;
  };
  await ask('agent', 'register', 'planner', '--team', 'tests', '--sponsor', 'ada@example.com', '--purpose', 'tests');
  const { token } = await ask('token', 'create', 'planner', '--uses', '5000');
  return { roots: rootsIn(operator), token: token as string };
}

function kindsOf({ authorities }: Hierarchy, kind: string): string[] {
  return authorities.filter((authority) => authority.kind === kind).map(({ state }) => state);
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const begun = performance.now(); !(await holds()); await pause(50)) {
    assert.ok(performance.now() - begun < 10_000, `waited in vain: ${what}`);
  }
}

/** Every leaf still calls, with its chain and alone, and a foreign verifier accepts it. */
async function standsYet(leaf: Leaf, roots: readonly string[], api: string, scratch: string): Promise<void> {
  for (const alone of [false, true]) {
    const client = clientOf(api, roots, leaf, { alone });
    assert.equal(await whoami(client), leaf.id);
    client.close();
  }
  if (skipOf(OPENSSL) !== false) return;
  const file = (name: string, text: string): string => {
    writeFileSync(join(scratch, name), text);
    return join(scratch, name);
  };
  const chain = ['-CAfile', file('root', roots.join('')), '-untrusted', file('chain', leaf.chain.join(''))];
  const args = ['verify', '-x509_strict', ...chain, file('leaf', leaf.certificate)];
  assert.match(execFileSync(pathOf(OPENSSL), args, { encoding: 'utf8' }), /: OK/);
}

test('the issuing authority is succeeded on its ninetieth day', async () => {
  const installation = await agedInstallation(90);
  const server = await startAged(installation);
  assert.deepEqual(kindsOf(await server.hierarchy(), 'issuing'), ['active', 'next'], 'made a day ahead');
  const { roots, token } = await furnish(installation, server);
  const open = clientOf(server.api, roots);
  const old = await enrol(open, token);
  const load = await startLoad(server.api, roots, token);
  await pause(200);
  server.catchUp();
  await until('the switch', async () => kindsOf(await server.hierarchy(), 'issuing').join() === 'retired,active');
  await pause(300);
  const { enrolled, renewed } = await load.stop();
  const fresh = await enrol(open, token);
  open.close();
  assert.equal(new Set([...enrolled, ...renewed, fresh].map(issuerOf)).size, 2);
  assert.notEqual(issuerOf(fresh), issuerOf(old));
  for (const leaf of [old, fresh]) await standsYet(leaf, roots, server.api, installation.scratch);
});

test('with the root key here the intermediate is succeeded, too', async () => {
  const installation = await agedInstallation(1096 - 120 - 60);
  const server = await startAged(installation);
  // The issuing authorities of two and a half years of sleep were not made one by one.
  assert.deepEqual(kindsOf(await server.hierarchy(), 'issuing'), ['retired', 'active']);
  assert.deepEqual(kindsOf(await server.hierarchy(), 'intermediate'), ['active']);
  const { roots, token } = await furnish(installation, server);
  const open = clientOf(server.api, roots);
  const old = await enrol(open, token);
  const load = await startLoad(server.api, roots, token);
  server.catchUp();
  await until('the switch', async () => kindsOf(await server.hierarchy(), 'intermediate').join() === 'retired,active');
  assert.equal((await installation.cli('ca', 'rotate')).code, 0);
  await pause(300);
  await load.stop();
  const fresh = await enrol(open, token);
  open.close();
  const [before, after] = (await server.hierarchy()).authorities
    .filter(({ kind }) => kind === 'intermediate')
    .map(({ id }) => id);
  const chain = (leaf: Leaf): string => issuerOf({ certificate: leaf.chain[0]! });
  assert.ok(chain(old).includes(before!) && chain(fresh).includes(after!));
  for (const leaf of [old, fresh]) await standsYet(leaf, roots, server.api, installation.scratch);
});
