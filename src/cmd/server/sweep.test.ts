import assert from 'node:assert/strict';
import { onEachEngine } from '../../../test/engines.ts';
import { createInstallation, register } from '../../../test/installation.ts';
import { readApproval } from '../../approval/store.ts';
import { ask, decide, gone, officers, restore } from '../../approval/testdata/people.ts';
import { sweep } from './sweep.ts';

const DAY_MS = 86_400_000;

onEachEngine('approvals that are over go with the sweep after retention, and not before', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { database: reader, commit, clock } = installation;
  const { ada, bob, grace } = await officers(installation);
  await register(installation, 'planner');
  await gone(installation);
  const { id } = await ask(installation, ada);
  for (const one of [bob, grace]) await decide(installation, one, { id });
  await restore(installation, ada, id);
  const isThere = async (): Promise<boolean> => (await readApproval(reader, id, clock.now())) !== undefined;
  installation.advance(400 * DAY_MS);
  await sweep({ reader, commit, clock, retentionDays: 400 });
  assert.ok(await isThere());
  installation.advance(1);
  await sweep({ reader, commit, clock, retentionDays: 400 });
  assert.ok(!(await isThere()));
});
