/**
 * `npm run demo`: the whole story in one go, against a throw-away authority: start, register, enrol two instances, let
 * them talk, renew, revoke one, ask who was active when, verify the ledger with everything switched off. Every step says
 * what it does, shows what came back, and is checked: the demo fails where the product does not do what is said here.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../src/cli/program.ts';
import { commandTable } from '../../src/cmd/commands.ts';
import { Client } from '../../src/http/client.ts';
import { connect, type Identity, peerOf } from '../../src/sdk/entry.ts';
import { startServer } from '../program.ts';

const began = performance.now();
const bold = process.stdout.isTTY === true ? (text: string) => `\u001b[1m${text}\u001b[0m` : (text: string) => text;
let steps = 0;

function step(title: string): void {
  steps += 1;
  process.stdout.write(`\n${bold(`${steps}. ${title}`)}\n`);
}

function show(text: string): void {
  for (const line of text.trimEnd().split('\n')) process.stdout.write(`   ${line}\n`);
}

const home = mkdtempSync(join(tmpdir(), 'writ-demo-'));
const data = join(home, 'writ-data');
const opened: { close(): unknown }[] = [];
let code = 0;
try {
  await play();
  process.stdout.write(
    `\n${bold('Done')} in ${((performance.now() - began) / 1000).toFixed(1)} s; every step did what it says.\n`,
  );
} catch (error) {
  process.stdout.write(
    `\n${bold('FAILED')} in step ${steps}: ${error instanceof Error ? error.message : String(error)}\n`,
  );
  code = 1;
} finally {
  for (const one of opened.reverse()) await one.close();
  rmSync(home, { recursive: true, force: true });
}
process.exit(code);

async function play(): Promise<void> {
  step('Start an authority on an empty directory');
  const authority = await startServer(data);
  opened.push({ close: () => authority.stop() });
  show(`It listens at ${authority.api}; nothing was asked.`);
  process.env['WRIT_OPERATOR'] = join(`${data}-operator`, 'operator.json');
  const writ = (...words: string[]): Promise<Outcome> => run(words);

  step('Register an agent and who answers for it');
  await writ(
    'agent',
    'register',
    'planner',
    '--team',
    'travel',
    '--sponsor',
    'ada@example.com',
    '--purpose',
    'plans trips',
  );
  show((await writ('agent', 'list')).stdout);

  step('Let two instances in, each with a join token and a key of its own');
  const [one, two] = [await enrol(writ), await enrol(writ)];
  show(`${one.spiffeId}\n${two.spiffeId}`);
  assert.notEqual(one.spiffeId, two.spiffeId);

  step('They talk over mutual TLS and know each other by name');
  const port = await serve(two);
  const call = one.fetch({ allow: two.spiffeId });
  const answer = await (await call(`https://127.0.0.1:${port}/`)).text();
  show(answer);
  assert.equal(answer, `hello ${one.spiffeId}`);
  const wrong = one.fetch({ allow: 'service/bank/*' });
  await assert.rejects(wrong(`https://127.0.0.1:${port}/`), /not allowed/);
  show('A caller who expected somebody else broke off.');

  step('Renew: a new key and certificate, the same instance');
  const before = one.credential.serial;
  await one.renew();
  assert.notEqual(one.credential.serial, before);
  show(`${before} → ${one.credential.serial}`);
  const between = new Date().toISOString();

  step('Revoke one instance: stopped for good');
  const victim = one.spiffeId.split('/').at(-1)!;
  await new Promise((resolve) => setTimeout(resolve, 10));
  show((await writ('instance', 'stop', victim, '--cause', 'clone_detected', '--yes')).stdout);
  await assert.rejects(
    one.renew(),
    (error: { code?: string }) => error.code === 'revoked' || error.code === 'not_authenticated',
  );
  show('Its next renewal was refused.');

  step('Who was active when?');
  const then = await writ('cert', 'at', '--time', between, '--agent', 'planner', '--json');
  const now = await writ('cert', 'at', '--time', 'now', '--agent', 'planner', '--json');
  const serials = (outcome: Outcome): string[] =>
    JSON.parse(outcome.stdout).items.map((item: { serial: string }) => item.serial);
  show(`Before the stop: ${serials(then).length} certificates. Now: ${serials(now).length}.`);
  assert.ok(serials(then).includes(one.credential.serial));
  assert.ok(!serials(now).includes(one.credential.serial) && serials(now).includes(two.credential.serial));

  step('Everything the ledger says about it');
  const trace = await writ('trace', one.credential.serial, '--json');
  const types: string[] = JSON.parse(trace.stdout).items.map((item: { type: string }) => item.type);
  show(types.join(', '));
  for (const type of [
    'agent.registered',
    'token.used',
    'instance.enrolled',
    'certificate.renewed',
    'instance.stopped',
  ]) {
    assert.ok(types.includes(type), `the trace has no ${type}`);
  }

  step('Switch everything off and verify the ledger with keys fetched before');
  const keys = join(home, 'ledger-keys');
  writeFileSync(keys, await fetchKeys(authority.api));
  one.close();
  two.close();
  await authority.stop();
  const verified = await run(['ledger', 'verify', '--data', data, '--keys', keys]);
  show(verified.stdout);
  assert.match(verified.stdout, /^Verified: .* 0 findings/m);
  assert.ok(readFileSync(join(`${data}-anchor`, 'checkpoint'), 'utf8').includes('writ.internal/ledger'));
}

async function enrol(writ: (...words: string[]) => Promise<Outcome>): Promise<Identity> {
  const { stdout } = await writ('token', 'create', 'planner');
  const identity = await connect({ token: stdout.trim() });
  opened.push(identity);
  return identity;
}

/** The verifier keys of the ledger, as anybody can fetch them. */
async function fetchKeys(server: string): Promise<string> {
  const { roots } = JSON.parse(readFileSync(join(`${data}-operator`, 'operator.json'), 'utf8')) as { roots: string[] };
  const client = new Client({ server, roots });
  try {
    return (await client.send({ path: '/ledger/keys' })).body.toString('utf8');
  } finally {
    client.close();
  }
}

async function serve(identity: Identity): Promise<number> {
  const server = createServer(identity.serverOptions(), (request, response) => {
    response.end(`hello ${peerOf(request.socket as Parameters<typeof peerOf>[0])?.uri}`);
  });
  identity.protect(server, { allow: 'agent/planner/*' });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  opened.push({
    close() {
      server.closeAllConnections();
      server.close();
    },
  });
  return (server.address() as AddressInfo).port;
}

interface Outcome {
  readonly stdout: string;
}

/** One line of the command line, in this process. Throws with what it printed when it does not end with 0. */
async function run(words: readonly string[]): Promise<Outcome> {
  let stdout = '';
  let stderr = '';
  const shown = words.map((word) => (word.includes(' ') ? `"${word}"` : word)).join(' ');
  process.stdout.write(`   $ writ ${shown}\n`);
  const exit = await runProgram(commandTable(), words, {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
    stdin: {},
    environment: process.env,
  });
  if (exit !== 0) throw new Error(`writ ${words[0]} ${words[1]} ended with ${exit}: ${stderr}`);
  return { stdout };
}
