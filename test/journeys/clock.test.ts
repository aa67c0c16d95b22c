/** A clock that jumps: back, what is recorded would be overtaken, so nothing is; forth, what is past its time is. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { writ } from '../program.ts';
import { failureOf, refusalOf, run, scratchDirectory } from './authority.ts';
import { clientOf, whoami } from './clients.ts';
import { testClock } from './test-clock.ts';

const HOUR_MS = 3_600_000;

test('a clock that goes back records nothing until it is right again', async () => {
  const scratch = scratchDirectory();
  const clock = testClock(scratch);
  const data = join(scratch, 'writ-data');
  const { letIn, issue, revoke, get, server } = await run(data, clock.options);
  const { instance, serial } = await letIn('planner');
  await clock.set(-20_000);
  for (const act of [() => issue(instance), () => revoke(serial)]) {
    const error = await failureOf(act());
    assert.equal(error.code, 'clock');
    assert.match(error.message, /^the clock is \d+ s behind what is already recorded$/);
  }
  assert.equal((await get(`/v1/certificates/${serial}`))['status'], 'active', 'reading goes on');
  await clock.set(0);
  await issue(instance);
  assert.equal((await revoke(serial)).status, 'revoked');
  await server.stop();

  await clock.set(-HOUR_MS);
  const refused = refusalOf(await failureOf(run(data, clock.options)));
  assert.match(refused, /^clock: The clock is behind the begin of the issuing authority\.$/);
  const command = await writ(['operator', 'add', 'bea', '--person', 'admin', '--data', data], {
    ...clock.options,
    cwd: scratch,
  });
  assert.equal(command.code, 1);
  assert.match(command.stderr, /^error: [Tt]he clock is .*\nnext: Set the clock/m);
  await clock.set(0);
  await (await run(data, clock.options)).server.stop();
});

test('a clock that goes forth ends what is past its time, and going back again is going back', async () => {
  const scratch = scratchDirectory();
  const clock = testClock(scratch);
  const { letIn, issue, get, server, roots } = await run(join(scratch, 'writ-data'), clock.options);
  const leaf = await letIn('planner');
  const client = clientOf(server.api, roots, leaf);
  assert.equal(await whoami(client), leaf.id);
  await clock.set(2 * HOUR_MS);
  // Also on the connection on which it was accepted before.
  const expired = await failureOf(whoami(client));
  assert.equal(expired.code, 'not_authenticated');
  assert.match(expired.message, /expired/);
  assert.equal((await get(`/v1/certificates/${leaf.serial}`))['status'], 'expired');
  const { serial } = await issue(leaf.instance);
  assert.equal((await get(`/v1/certificates/${serial}`))['status'], 'active');
  await clock.set(0);
  const error = await failureOf(issue(leaf.instance));
  assert.equal(error.code, 'clock');
  client.close();
});

test('after a clock that was far ahead there is a way back, on record', async () => {
  const scratch = scratchDirectory();
  const clock = testClock(scratch);
  const data = join(scratch, 'writ-data');
  // Far enough for the issuing authority to be succeeded by one that has not begun.
  const ahead = 100 * 24 * HOUR_MS;
  const first = await run(data, clock.options);
  const { instance, serial: before } = await first.letIn('planner');
  await first.server.stop();
  const administer = (...argv: string[]) => writ([...argv, '--data', data], { ...clock.options, cwd: scratch });
  const serialIn = (credential: string): string => {
    const { chain } = JSON.parse(readFileSync(credential, 'utf8')) as { chain: readonly string[] };
    return new X509Certificate(chain[0]!).serialNumber.toLowerCase();
  };
  const eve = join(scratch, 'eve.json');
  assert.equal((await administer('operator', 'add', 'eve', '--person', 'admin', '--out', eve)).code, 0);
  await clock.set(ahead);
  const second = await run(data, clock.options);
  const removed = await administer('operator', 'remove', 'eve');
  assert.equal(removed.code, 0, removed.stderr);
  const bea = join(scratch, 'bea.json');
  const added = await administer('operator', 'add', 'bea', '--person', 'admin', '--out', bea);
  assert.equal(added.code, 0, added.stderr);
  const early = serialIn(bea);
  await second.server.stop();
  await clock.set(0);
  assert.match(refusalOf(await failureOf(run(data, clock.options))), /^clock: /);

  const acceptClock = (flag: string) => administer('ledger', 'accept-clock', flag);
  const dry = await acceptClock('--dry-run');
  assert.equal(dry.code, 0, dry.stderr);
  assert.match(refusalOf(await failureOf(run(data, clock.options))), /^clock: /, 'a dry run changes nothing');
  const accepted = await acceptClock('--yes');
  assert.equal(accepted.code, 0, accepted.stderr);
  const again = await acceptClock('--yes');
  assert.equal(again.code, 8, again.stdout);

  const third = await run(data, clock.options);
  const status = async (serial: string) => (await third.get(`/v1/certificates/${serial}`))['status'];
  assert.deepEqual([await status(before), await status(early)], ['active', 'revoked']);
  // It had expired by the wrong clock when its holder was removed.
  const left = await third.get(`/v1/certificates/${serialIn(eve)}`);
  assert.equal(left['status'], 'revoked');
  await third.issue(instance);
  const { items } = await third.get<{ items: { type: string; body: Record<string, string> }[] }>(
    '/v1/ledger/entries?limit=200',
  );
  const found = items.find(({ type }) => type === 'log.clock_set_back')!;
  assert.ok(Date.parse(found.body['from']!) - Date.parse(found.body['to']!) > ahead - HOUR_MS);
  await third.server.stop();
  const verified = await writ(['ledger', 'verify', '--data', data], { ...clock.options, cwd: scratch });
  assert.equal(verified.code, 0, verified.stdout);
});
