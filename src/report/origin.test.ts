/** Of what fell with something else one reads who stopped that, by which rule, and why. */
import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import { ADA, childOf, createInstallation, type Installation, letIn, register } from '../../test/installation.ts';
import type { Caller } from '../base/access.ts';
import { confirmStop } from '../revocation/confirm-stop.ts';
import { quarantine } from '../revocation/quarantine.ts';
import { revokeCertificate } from '../revocation/revoke.ts';
import { stopForEver } from '../revocation/stop.ts';
import { stopInstance } from '../revocation/stop-instance.ts';
import type { ReportParts } from './parts.ts';
import { showCertificate } from './show.ts';
import { trace } from './trace.ts';

const BOB: Caller = { kind: 'operator', id: 'spiffe://agents.example.com/operator/bob', operator: 'bob' };
const EVIDENCE = 'https://soc.example.com/7';

const reportOf = ({ issuance }: Installation): ReportParts => ({ ...issuance, chain: () => [] });

onEachEngine(
  'what fell with a team, a parent or a label says with what, who, by which rule and why',
  async ({ open }) => {
    const installation = await createInstallation(await open());
    const { issuance } = installation;
    const report = reportOf(installation);
    await register(installation, 'planner');
    const parent = await letIn(installation, { agent: 'planner', labels: { fleet: 'blue' } });
    const child = await childOf(installation, parent);
    const [cause, authority] = ['session_replay', ['security-pulls-the-cord']];
    const held = await quarantine(
      ADA,
      { target: { kind: 'label', name: 'fleet=blue' }, cause, evidence: EVIDENCE },
      issuance,
    );
    const why = { stoppedBy: ADA.id, authority, cause, evidence: EVIDENCE };
    const label = { ...why, stop: { id: held.id, kind: 'label', name: 'fleet=blue' } };
    assert.deepEqual((await showCertificate(ADA, child.serial, report)).stopped, label);

    const stop = await stopForEver(
      ADA,
      { target: { kind: 'owner', name: 'research' }, cause, evidence: EVIDENCE },
      { ...issuance, massStop: 1 },
    );
    await confirmStop(BOB, stop.id, issuance);
    const owner = { ...why, stop: { id: stop.id, kind: 'owner', name: 'research' }, confirmedBy: BOB.id };
    assert.deepEqual((await showCertificate(ADA, child.serial, report)).stopped, owner);

    const { items } = await trace(ADA, { serial: child.serial }, {}, report);
    const told = items.filter(({ stopped }) => stopped !== undefined);
    assert.deepEqual(
      told.map(({ type, stopped }) => [type, stopped]),
      [
        ['certificate.quarantined', label],
        ['agent.retired', owner],
        ['instance.stopped', owner],
        ['certificate.revoked', owner],
      ],
    );
    await installation.close();
  },
);

onEachEngine('what was stopped by itself says so itself, and what has force says nothing', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  const report = reportOf(installation);
  await register(installation, 'planner');
  const [one, two, three] = [
    await letIn(installation, { agent: 'planner' }),
    await letIn(installation, { agent: 'planner' }),
    await letIn(installation, { agent: 'planner' }),
  ];
  await stopInstance(ADA, { instance: one.instance!, cause: 'decommissioned' }, issuance);
  await revokeCertificate(BOB, { serial: two.serial, cause: 'key_theft', evidence: EVIDENCE }, issuance);
  const of = async ({ serial }: typeof one) => (await showCertificate(ADA, serial, report)).stopped;
  // Which rules allowed it the door adds to the entry.
  assert.deepEqual(await of(one), { stoppedBy: ADA.id, authority: [], cause: 'decommissioned' });
  assert.deepEqual(await of(two), { stoppedBy: BOB.id, authority: [], cause: 'key_theft', evidence: EVIDENCE });
  assert.equal(await of(three), undefined);
  for (const { stopped } of (await trace(ADA, { serial: one.serial }, {}, report)).items)
    assert.equal(stopped, undefined);
  await installation.close();
});
