/** A clock that jumps: back, what is recorded would be overtaken, so nothing is; forth, what is past its time is. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { writ } from '../program.ts';
import { failureOf, refusalOf, run, type StartOptions, scratchDirectory } from './authority.ts';
import { clientOf, whoami } from './clients.ts';

const HOUR_MS = 3_600_000;

interface TestClock {
  readonly options: StartOptions;
  set(ms: number): Promise<void>;
}

function testClock(scratch: string): TestClock {
  const file = join(scratch, 'clock');
  writeFileSync(file, '0');
  const hook = new URL('./shifted-clock.ts', import.meta.url).href;
  return {
    options: { nodeFlags: ['--import', hook], environment: { WRIT_TEST_CLOCK: file } },
    async set(ms) {
      writeFileSync(file, String(ms));
      // The epoch is confirmed by this clock, too: until it is, the standing of nobody is known.
      await pause(500);
    },
  };
}

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
  const command = await writ(['operator', 'add', 'bea', '--data', data], { ...clock.options, cwd: scratch });
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
