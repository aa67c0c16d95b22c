/** A connection that is long in coming does not make all that it tells seem old. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { testServer } from '../../../test/server.ts';
import { Forwarder } from '../../../test/torture/forwarder.ts';
import { connect } from '../enrolment/connect.ts';
import { createVerifier } from '../verifier/verifier.ts';

const server = await testServer({ args: ['--threads', '1'] });
const identity = await connect({ token: await server.token('gateway', 'service') });
const cable = await Forwarder.open(() => server.api);
after(() => {
  identity.close();
  cable.close();
});

test('after a silence in which it was connected again a verifier is as fresh as before', async () => {
  const verifier = createVerifier({ identity, mode: 'strict', server: cable.url, strictMs: 2000 });
  await verifier.ready(AbortSignal.timeout(10_000));
  // The stream breaks, and the next one hangs while it is made.
  cable.cut('reset');
  await pause(20);
  cable.cut('silent');
  await pause(2300);
  assert.equal(verifier.well, false);
  cable.mend();
  await verifier.ready(AbortSignal.timeout(10_000));
  await pause(1500);
  assert.ok(verifier.well && verifier.age < 1900, `${verifier.age} ms`);
  verifier.close();
});
