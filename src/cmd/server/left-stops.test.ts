import assert from 'node:assert/strict';
import { onEachEngine } from '../../../test/engines.ts';
import {
  ADA,
  ANONYMOUS,
  callerOf,
  createInstallation,
  letIn,
  newKey,
  newToken,
  register,
} from '../../../test/installation.ts';
import type { CommitBatch } from '../../db/batch.ts';
import { enrol } from '../../issuance/enrol.ts';
import { readInstance } from '../../registry/instance.ts';
import { stopInstance } from '../../revocation/stop-instance.ts';
import { readUnmarkedStops } from '../../revocation/stop-store.ts';
import { leftStops } from './left-stops.ts';

onEachEngine('what is left of a stop does not wait for the next start', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, database } = installation;
  await register(installation, 'planner');
  const thief = await letIn(installation, { agent: 'planner' });
  const token = await newToken(installation, { agent: 'planner' }, callerOf(thief));
  const child = await enrol(ANONYMOUS, { evidence: await token.attest(), csr: await newKey().csr() }, issuance);
  let commits = 0;
  const dying: CommitBatch = async (batch) => {
    if (++commits === 2) throw new Error('the database is away');
    return issuance.commit(batch);
  };
  const finish = leftStops({ ...issuance, reader: database });
  assert.equal(await finish(), 0);
  const target = { instance: thief.instance!, cause: 'key_theft' };
  await assert.rejects(stopInstance(ADA, target, { ...issuance, commit: dying }), /away/);
  const statusOf = async () => (await readInstance(database, child.instance!))?.status;
  assert.equal(await finish(), 0, 'whoever began it may still be at it');
  assert.equal(await statusOf(), 'quarantined');
  assert.equal(await finish(), 1);
  assert.equal(await statusOf(), 'stopped');
  assert.deepEqual(await readUnmarkedStops(database), []);
  assert.equal(await finish(), 0);
});
