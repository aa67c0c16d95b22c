import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import {
  ADA,
  callerOf,
  createInstallation,
  letIn,
  newKey,
  newToken,
  register,
  SYSTEM,
} from '../../test/installation.ts';
import { readCertificate } from '../ca/index/certificates.ts';
import { newBatch } from '../db/batch.ts';
import type { IssuedCertificate } from '../issuance/issued.ts';
import { renewCertificate } from '../issuance/renew.ts';
import { readInstance } from '../registry/instance.ts';
import { finishStops } from './finish.ts';
import { stopAgent } from './stop-agent.ts';
import { stopInstance } from './stop-instance.ts';
import { clockSetBack, revokeFutureCertificates, stopsMadeAfter } from './undo-future.ts';

const DAY = 86_400_000;

onEachEngine('what was made while the clock was ahead has no future', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, clock, commit } = installation;
  await register(installation, 'planner');
  const before = await letIn(installation, { agent: 'planner' });
  const first = await newToken(installation, { agent: 'planner' });
  const now = clock.now();
  installation.advance(20 * DAY);
  const second = await newToken(installation, { agent: 'planner' });
  const holder = await letIn(installation, { agent: 'planner' });
  const renew = async (): Promise<IssuedCertificate> =>
    renewCertificate(callerOf(holder), { csr: await newKey().csr() }, issuance);
  const early = [holder, ...(await Promise.all(Array.from({ length: 70 }, renew)))];

  clock.set(now);
  const record = clockSetBack(SYSTEM, { from: now + 20 * DAY, to: now, stops: [] });
  // The sequencer itself is tried in its own test; here it takes the time of the head as it is.
  clock.set(now + 20 * DAY);
  await commit({ ...newBatch(), ...record });
  const parts = { ...issuance, clock: { now: () => now } };
  assert.equal(await revokeFutureCertificates(SYSTEM, parts), early.length);
  for (const { serial } of early) {
    assert.equal((await readCertificate(issuance.certificates, serial))?.revoked?.cause, 'superseded_by_renewal');
  }
  assert.equal((await readCertificate(issuance.certificates, before.serial))?.revoked, undefined);
  clock.set(now + 1000);
  assert.equal((await first.attest()).accepted, true);
  assert.equal((await second.attest()).accepted, false, 'it would have been good for twenty days too long');
  assert.equal(await revokeFutureCertificates(SYSTEM, parts), 0);
});

onEachEngine(
  'a stop that was made while the clock was ahead marks what still holds by the right one',
  async ({ open }) => {
    const installation = await createInstallation(await open());
    const { database, issuance, clock, commit, policy } = installation;
    for (const name of ['planner', 'booker', 'poet']) await register(installation, name);
    const stolen = await letIn(installation, { agent: 'planner' });
    const other = await letIn(installation, { agent: 'planner' });
    const gone = await letIn(installation, { agent: 'booker' });
    const early = await letIn(installation, { agent: 'poet' });
    const revoking = { ...issuance, authorize: policy.authorize };
    await stopInstance(ADA, { instance: early.instance!, cause: 'task_completed' }, revoking);
    const now = clock.now();

    // An hour has passed by the wrong clock: no stop finds an unexpired certificate.
    installation.advance(20 * DAY);
    await issuance.refresh();
    await stopInstance(ADA, { instance: stolen.instance!, cause: 'key_theft' }, revoking);
    await stopAgent(ADA, { name: 'booker', cause: 'decommissioned' }, revoking);
    const revokedOf = async ({ serial }: IssuedCertificate) =>
      (await readCertificate(issuance.certificates, serial))?.revoked;
    for (const one of [stolen, gone]) assert.equal(await revokedOf(one), undefined);

    const stops = await stopsMadeAfter(database, now);
    assert.deepEqual(stops.map(({ subject, cause }) => `${subject} ${cause}`).sort(), [
      'agent:booker decommissioned',
      ...[`instance:${gone.instance} decommissioned`, `instance:${stolen.instance} key_theft`].sort(),
    ]);
    await commit({ ...newBatch(), ...clockSetBack(SYSTEM, { from: now + 20 * DAY, to: now, stops }) });
    await finishStops({ ...issuance, clock: { now: () => now } });
    for (const [one, cause] of [
      [stolen, 'key_theft'],
      [gone, 'decommissioned'],
    ] as const) {
      const revoked = await revokedOf(one);
      assert.deepEqual([revoked?.cause, revoked?.at], [cause, now]);
    }
    assert.equal((await readInstance(database, gone.instance!))?.status, 'stopped');
    assert.equal(await revokedOf(other), undefined);
    assert.deepEqual(await stopsMadeAfter(database, now + 20 * DAY), []);
  },
);
