import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { onEachEngine } from '../../../test/engines.ts';
import { RowWriter } from '../../../test/rows.ts';
import { manualClock } from '../../base/clock.ts';
import { type Batch, newBatch } from '../../db/batch.ts';
import type { Database } from '../../db/database.ts';
import { migrate } from '../../db/migrate.ts';
import { makeSerial } from '../certificate/serial.ts';
import { CERTIFICATES } from '../index/certificates.ts';
import { HELD, pushHeld, pushReleased, pushRevoked, readRevoked } from './revoked.ts';

const START = 1_800_000_000_000;

async function setUp(open: () => Promise<Database>) {
  const database = await open();
  await migrate(database);
  const writer = new RowWriter(database, [CERTIFICATES], manualClock(START));
  const commit = (push: (batch: Batch) => void) => {
    const batch = newBatch();
    push(batch);
    return writer.commit(batch);
  };
  const certificate = () => ({
    serial: makeSerial(START, 3600, randomBytes),
    issuer: 'authority',
    shard: 'one',
    expiresAt: START + 3_600_000,
  });
  const state = async (serial: Uint8Array) => {
    const row = await readRevoked(database, serial);
    return row && [row.reason, row.at - START];
  };
  return { database, commit, certificate, state };
}

onEachEngine('a hold comes and goes, a revocation stays', async ({ open }) => {
  const { commit, certificate, state } = await setUp(open);
  const one = certificate();
  assert.equal(await state(one.serial), undefined);
  await commit((batch) => pushReleased(batch, one, { at: START }));
  assert.equal(await state(one.serial), undefined);
  await commit((batch) => pushHeld(batch, one, { at: START + 1 }));
  await commit((batch) => pushHeld(batch, one, { at: START + 2 }));
  assert.deepEqual(await state(one.serial), [HELD, 1], 'held since the first time');
  await commit((batch) => pushReleased(batch, one, { at: START + 3 }));
  assert.equal(await state(one.serial), undefined);
  await commit((batch) => pushHeld(batch, one, { at: START + 4 }));
  assert.deepEqual(await state(one.serial), [HELD, 4]);
  await commit((batch) => pushRevoked(batch, one, { at: START + 5, reason: 1 }));
  assert.deepEqual(await state(one.serial), [1, 5]);
  await commit((batch) => pushRevoked(batch, one, { at: START + 6, reason: 4 }));
  await commit((batch) => pushHeld(batch, one, { at: START + 7 }));
  await commit((batch) => pushReleased(batch, one, { at: START + 8 }));
  assert.deepEqual(await state(one.serial), [1, 5], 'nothing lifts a revocation');
});

onEachEngine('every change takes the next number, within one batch, too', async ({ open }) => {
  const { database, commit, certificate } = await setUp(open);
  const [one, two, three] = [certificate(), certificate(), certificate()];
  await commit((batch) => {
    pushRevoked(batch, one, { at: START, reason: 1 });
    pushHeld(batch, two, { at: START });
  });
  await commit((batch) => pushRevoked(batch, three, { at: START, reason: 1 }));
  await commit((batch) => pushReleased(batch, two, { at: START + 1 }));
  const rows = await database.all('SELECT serial, sequence FROM revoked ORDER BY sequence');
  const hex = (serial: unknown): string => Buffer.from(serial as Uint8Array).toString('hex');
  assert.deepEqual(
    rows.map(({ serial, sequence }) => [hex(serial), sequence]),
    [
      [hex(one.serial), 1],
      [hex(three.serial), 3],
      [hex(two.serial), 4],
    ],
  );
});
