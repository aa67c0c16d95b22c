import assert from 'node:assert/strict';
import { onEachEngine } from '../../../test/engines.ts';
import { callerOf, createInstallation, letIn, register } from '../../../test/installation.ts';
import type { RegistrationEntry } from '../../attest/entry/entry.ts';
import { deleteEntry, insertEntry, readEntry } from '../../attest/entry/store.ts';
import type { Caller } from '../../base/access.ts';
import { newBatch } from '../../db/batch.ts';
import { nodeTest } from './nodes.ts';

onEachEngine(
  'a node is an instance of a service that has registration entries, as of a moment ago',
  async ({ open }) => {
    const installation = await createInstallation(await open());
    const { database, clock, commit } = installation;
    await register(installation, 'box', 'service');
    await register(installation, 'planner');
    const box = callerOf(await letIn(installation, { agent: 'box' }));
    const planner = callerOf(await letIn(installation, { agent: 'planner' }));
    const isNode = nodeTest({ reader: database, clock });
    assert.equal(await isNode(box), false);

    const batch = newBatch();
    const entry: RegistrationEntry = {
      ...{ id: '01jd0000000000000000000000', source: { node: 'box' }, agent: 'planner', match: ['unix:uid=1'] },
      ...{ scopes: [], labels: {}, federatesWith: [], createdAt: clock.now(), createdBy: 'test' },
      per: 'process',
    };
    insertEntry(batch, entry);
    await commit(batch);
    installation.advance(2000);
    assert.equal(await isNode(box), true);
    assert.equal(await isNode(planner), false, 'an agent is none');
    const operator: Caller = { kind: 'operator', id: 'spiffe://agents.example.com/operator/ada', operator: 'ada' };
    assert.equal(await isNode(operator), false);

    const end = newBatch();
    deleteEntry(end, (await readEntry(database, entry.id))!);
    await commit(end);
    installation.advance(2000);
    assert.equal(await isNode(box), false);
    await installation.close();
  },
);
