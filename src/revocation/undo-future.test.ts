import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import { callerOf, createInstallation, letIn, newKey, newToken, register, SYSTEM } from '../../test/installation.ts';
import { readCertificate } from '../ca/certificates.ts';
import { newBatch } from '../db/batch.ts';
import type { IssuedCertificate } from '../issuance/issued.ts';
import { renewCertificate } from '../issuance/renew.ts';
import { clockSetBack, revokeFutureCertificates } from './undo-future.ts';

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
  const record = clockSetBack(SYSTEM, { from: now + 20 * DAY, to: now });
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
