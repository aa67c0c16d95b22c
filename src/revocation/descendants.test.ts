/** Records of stops from before every stop was carried out by the cord: they took along what a stolen key had let in. */
import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import { ADA, childOf, createInstallation, letIn, register, startedBy } from '../../test/installation.ts';
import { readUnfinishedStops } from '../ca/index/unfinished-stop.ts';
import type { RecordedEvent } from '../ledger/entry.ts';
import { readInstance } from '../registry/instance.ts';
import { finishStops } from './finish.ts';
import { replayRevocations } from './replay.ts';

for (const [cause, falls] of [
  ['key_theft', true],
  ['decommissioned', false],
] as const) {
  onEachEngine(`after a restore an older stop for ${cause} reaches what it reached`, async ({ open }) => {
    const installation = await createInstallation(await open());
    const { issuance, database, commit, clock } = installation;
    await register(installation, 'planner');
    await register(installation, 'researcher');
    const [thief, other] = [
      await letIn(installation, { agent: 'planner' }),
      await letIn(installation, { agent: 'researcher' }),
    ];
    const child = await childOf(installation, thief);
    const below = await childOf(installation, child);
    const started = await startedBy(installation, other, 'planner');
    const recorded = { leaf: 1, time: clock.now(), nonce: '', subjects: [] };
    const said = { caller: ADA.id, cause };
    const events: RecordedEvent[] = [
      { ...recorded, type: 'instance.stopped', body: { ...said, agent: 'planner', instance: thief.instance! } },
      { ...recorded, type: 'agent.retired', body: { ...said, agent: 'researcher' } },
    ];
    const { checks, writes } = await replayRevocations(database)(events);
    await commit({ checks, writes, events: [], bumpsEpoch: true, anchored: false });
    await finishStops({ ...issuance, reader: database });
    const isActive = async ({ instance }: typeof thief) =>
      (await readInstance(database, instance!))?.status === 'active';
    for (const one of [thief, other]) assert.ok(!(await isActive(one)));
    for (const one of [child, below, started]) assert.equal(await isActive(one), !falls);
    assert.deepEqual(await readUnfinishedStops(database), []);
    await installation.close();
  });
}
