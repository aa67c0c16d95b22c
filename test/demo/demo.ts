/**
 * `npm run demo`: the whole story in one go, against a throw-away authority: start, register, enrol two instances, let
 * them talk, renew, revoke one, ask who was active when, verify the ledger with everything switched off. Every step says
 * what it does, shows what came back, and is checked: the demo fails where the product does not do what is said here.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { TLSSocket } from 'node:tls';
import { connect, type Identity, isWritError, peerOf } from '../../src/sdk/entry.ts';
import { startServer } from '../program.ts';
import { openStage } from './stage.ts';

const home = mkdtempSync(join(tmpdir(), 'writ-demo-'));
const data = join(home, 'writ-data');
const opened: (() => unknown)[] = [];
const stage = openStage({ WRIT_OPERATOR: join(`${data}-operator`, 'operator.json'), WRIT_DATA: data });
const { step, show, writ, items } = stage;

/** What somebody with the database in his hands might try. */
const FORGERY = `UPDATE ledger_entry
  SET entry = CAST(replace(CAST(entry AS TEXT), 'clone_detected', 'decommissioned') AS BLOB)
  WHERE CAST(entry AS TEXT) LIKE '%"type":"instance.stopped"%'`;

const code = await stage.run(play);
for (const close of opened.reverse()) await close();
rmSync(home, { recursive: true, force: true });
process.exit(code);

async function play(): Promise<void> {
  step('Start an authority on an empty directory');
  const authority = await startServer(data);
  opened.push(() => authority.stop());
  show(`It listens at ${authority.api} after ${Math.round(authority.startMs)} ms; nothing was asked.`);

  step('Register an agent, and who answers for it');
  const owner = ['--team', 'travel', '--sponsor', 'ada@example.com', '--purpose', 'plans trips'];
  await writ('agent', 'register', 'planner', ...owner);
  show(await writ('agent', 'list'));

  step('Let two instances in: each has a token, makes a key of its own and gets a certificate for an hour');
  const [one, two] = [await enrol(), await enrol()];
  show(`${one.spiffeId}\n${two.spiffeId}`);
  assert.notEqual(one.spiffeId, two.spiffeId);

  step('They talk over mutual TLS, and each knows by name who is at the other end');
  const url = `https://127.0.0.1:${await serve(two)}/`;
  const answer = await (await one.fetch({ allow: two.spiffeId })(url)).text();
  show(`the first asks, the second answers: ${answer}`);
  assert.equal(answer, `hello ${one.spiffeId}`);
  await assert.rejects(one.fetch({ allow: 'service/bank/*' })(url), (error) => isWritError(error, 'denied'));
  show('Asked as if it were the bank, it is recognised, and nothing is sent.');

  step('Renew: a new key and a new certificate for the same instance');
  const first = one.credential.serial;
  await one.renew();
  show(`${first}\n${one.credential.serial}`);
  assert.notEqual(one.credential.serial, first);
  const renewed = await (await one.fetch({ allow: two.spiffeId })(url)).text();
  assert.equal(renewed, answer);
  const earlier = new Date().toISOString();
  // The question below is about an instant before the stop, and instants are milliseconds.
  await new Promise((resolve) => setTimeout(resolve, 5));

  step('Pull the cord on one of them');
  show(await writ('instance', 'stop', instanceOf(one), '--cause', 'clone_detected', '--yes'));
  await assert.rejects(one.renew(), (error) => isWritError(error, 'revoked'));
  show('It asks for its next certificate, and is refused: revoked is for ever.');
  await two.renew();
  show('The other renews as ever.');

  step('Who could act as planner before the stop, and who can now?');
  const serials = async (time: string): Promise<string[]> => {
    const found = await items<{ serial: string }>('cert', 'at', '--time', time, '--agent', 'planner');
    return found.map(({ serial }) => serial);
  };
  show(await writ('cert', 'at', '--time', earlier, '--agent', 'planner'));
  show(await writ('cert', 'at', '--time', 'now', '--agent', 'planner'));
  const [then, now] = [await serials(earlier), await serials('now')];
  assert.ok(then.includes(first) && then.includes(one.credential.serial) && then.length === 3);
  assert.ok(!now.includes(first) && !now.includes(one.credential.serial) && now.includes(two.credential.serial));

  step('What does the ledger say about the one that was stopped?');
  const evidence = join(home, 'evidence');
  show(await writ('trace', one.credential.serial, '--out', evidence));
  const told = (await items<{ type: string }>('trace', one.credential.serial)).map(({ type }) => type);
  const story = ['agent.registered', 'token.used', 'instance.enrolled', 'certificate.renewed', 'instance.stopped'];
  assert.deepEqual(
    story.filter((type) => !told.includes(type)),
    [],
  );

  step('Switch everything off, and verify with nothing but the public keys that were fetched before');
  const keys = join(home, 'ledger-keys');
  writeFileSync(keys, await writ('ledger', 'key'));
  one.close();
  two.close();
  await authority.stop();
  const verified = await writ('ledger', 'verify', '--keys', keys);
  show(verified);
  assert.match(verified, /^Verified: writ\.internal\/ledger, .* 0 findings/m);
  const receipts = readdirSync(evidence).filter((name) => name.endsWith('.tlog-proof'));
  await writ('ledger', 'check-receipt', ...receipts.map((name) => join(evidence, name)), '--keys', keys);
  show(`${receipts.length} receipts verify, too.`);
  assert.equal(receipts.length, told.length);

  step('Rewrite history: let the stop look like an orderly one, and verify again');
  const database = new DatabaseSync(join(data, 'writ.db'));
  database.exec(FORGERY);
  database.close();
  const caught = await writ.failing(7, 'ledger', 'verify', '--keys', keys);
  show(caught);
  assert.match(caught, /^entry \d+: is not the entry that was hashed|^head: |^checkpoint /m);
}

async function enrol(): Promise<Identity> {
  const identity = await connect({ token: await writ('token', 'create', 'planner') });
  opened.push(() => identity.close());
  return identity;
}

function instanceOf({ spiffeId }: Identity): string {
  return spiffeId.split('/').at(-1)!;
}

/** A server of planner for planner, which greets its callers by their names. Gives its port. */
async function serve(identity: Identity): Promise<number> {
  const server = createServer(identity.serverOptions(), (request, response) => {
    response.end(`hello ${peerOf(request.socket as TLSSocket)?.uri}`);
  });
  identity.protect(server, { allow: 'agent/planner/*' });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  opened.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}
