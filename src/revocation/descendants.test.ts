import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import {
  ADA,
  ANONYMOUS,
  callerOf,
  createInstallation,
  type Installation,
  letIn,
  newKey,
  newToken,
  register,
} from '../../test/installation.ts';
import { isWritError } from '../base/error.ts';
import { readUnfinishedStops } from '../ca/unfinished-stop.ts';
import type { CommitBatch } from '../db/batch.ts';
import { enrol } from '../issuance/enrol.ts';
import type { IssuedCertificate } from '../issuance/issued.ts';
import { renewCertificate } from '../issuance/renew.ts';
import type { RecordedEvent } from '../ledger/entry.ts';
import { readInstance } from '../registry/instance.ts';
import { finishStops } from './finish.ts';
import { replayRevocations } from './replay.ts';
import { stopInstance } from './stop-instance.ts';

/** Lets in a child of an instance. */
async function childOf(installation: Installation, parent: IssuedCertificate): Promise<IssuedCertificate> {
  const token = await newToken(installation, { agent: 'planner' }, callerOf(parent));
  return enrol(ANONYMOUS, { evidence: await token.attest(), csr: await newKey().csr() }, installation.issuance);
}

/** An instance with two children, one of which has a child of its own; and one beside them. */
async function family(installation: Installation) {
  await register(installation, 'planner');
  const thief = await letIn(installation, { agent: 'planner' });
  const [first, second] = [await childOf(installation, thief), await childOf(installation, thief)];
  return {
    thief,
    first,
    second,
    below: await childOf(installation, first),
    beside: await letIn(installation, { agent: 'planner' }),
  };
}

const isActive = async ({ database }: Installation, { instance }: IssuedCertificate): Promise<boolean> =>
  (await readInstance(database, instance!))?.status === 'active';

onEachEngine('what a thief let in goes with the instance whose key was stolen', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  const { thief, first, second, below, beside } = await family(installation);
  // A link of the chain that is gone already hides nobody below it.
  await stopInstance(callerOf(first), { instance: first.instance!, cause: 'task_completed' }, issuance);
  assert.ok(await isActive(installation, below), 'an ordinary end is no reason to stop what was let in');

  await stopInstance(ADA, { instance: thief.instance!, cause: 'key_theft' }, issuance);
  for (const one of [thief, first, second, below]) {
    assert.ok(!(await isActive(installation, one)));
    const renewal = renewCertificate(callerOf(one), { csr: await newKey().csr() }, issuance);
    await assert.rejects(renewal, (error) => isWritError(error, 'revoked'));
  }
  assert.ok(await isActive(installation, beside));
  assert.deepEqual(await readUnfinishedStops(installation.database), []);
  const stops = (await installation.events()).filter(({ type }) => type === 'instance.stopped');
  assert.deepEqual(
    stops.map(({ body }) => [body['instance'], body['cause']]),
    [
      [first.instance, 'task_completed'],
      [thief.instance, 'key_theft'],
      [second.instance, 'cascade'],
      [below.instance, 'cascade'],
    ],
  );
});

onEachEngine('a theft that comes to light late is made good as well', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { thief, first, below } = await family(installation);
  await stopInstance(ADA, { instance: thief.instance!, cause: 'decommissioned' }, installation.issuance);
  assert.ok(await isActive(installation, first));
  const stopped = await stopInstance(
    ADA,
    { instance: thief.instance!, cause: 'clone_detected' },
    installation.issuance,
  );
  assert.equal(stopped.status, 'stopped');
  for (const one of [first, below]) assert.ok(!(await isActive(installation, one)));
});

onEachEngine('whatever ends in between, the rest follows', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, database } = installation;
  const { thief, first, second, below } = await family(installation);
  let commits = 0;
  const dying: CommitBatch = async (batch) => {
    if (++commits === 3) throw new Error('killed');
    return issuance.commit(batch);
  };
  const target = { instance: thief.instance!, cause: 'session_replay' };
  await assert.rejects(stopInstance(ADA, target, { ...issuance, commit: dying }), /killed/);
  const left = await Promise.all([first, second, below].map((one) => isActive(installation, one)));
  assert.ok(left.includes(true), 'or this shows nothing');
  await finishStops({ ...issuance, reader: database });
  for (const one of [first, second, below]) assert.ok(!(await isActive(installation, one)));
  assert.deepEqual(await readUnfinishedStops(database), []);
});

onEachEngine('after a restore the stop of a thief reaches what the older database knows', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, database, commit } = installation;
  const { thief, first, below } = await family(installation);
  const event: RecordedEvent = {
    leaf: 1,
    type: 'instance.stopped',
    time: installation.clock.now(),
    nonce: '',
    subjects: [],
    body: { caller: ADA.id, agent: 'planner', instance: thief.instance!, cause: 'key_theft' },
  };
  const { checks, writes } = await replayRevocations(database)([event]);
  await commit({ checks, writes, events: [], bumpsEpoch: true, anchored: false });
  await finishStops({ ...issuance, reader: database });
  for (const one of [thief, first, below]) assert.ok(!(await isActive(installation, one)));
});
