import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import { ADA, createInstallation, type Installation, letIn, register } from '../../test/installation.ts';
import type { Caller } from '../base/access.ts';
import { formatSerial } from '../ca/certificate/serial.ts';
import { newBatch } from '../db/batch.ts';
import type { IssuedCertificate } from '../issuance/issued.ts';
import { insertHold } from '../registry/hold.ts';
import { quarantine } from '../revocation/quarantine.ts';
import { releaseStop } from '../revocation/release.ts';
import { revokeCertificate } from '../revocation/revoke.ts';
import type { StopTarget } from '../revocation/stop-target.ts';
import { certificateList, certificatesAt, type ListFilter } from './certificates.ts';
import type { ReportParts } from './parts.ts';
import { showCertificate } from './show.ts';

const ADMINISTRATOR: Caller = { kind: 'system', id: 'system:administrator' };
const MINUTE = 60_000;

function questions(installation: Installation) {
  const { issuance, random, clock } = installation;
  const parts: ReportParts = { ...issuance, chain: (issuer) => issuance.authority.chain(issuer) };
  const cord = { ...issuance, random, massStop: 100 };
  const serials = (rows: readonly { readonly serial: Uint8Array }[]) => rows.map(({ serial }) => formatSerial(serial));
  return {
    now: () => clock.now(),
    hold: (target: StopTarget) => quarantine(ADA, { target, cause: 'policy_change' }, cord),
    release: (id: string) => releaseStop(ADMINISTRATOR, id, cord),
    shown: async ({ serial }: IssuedCertificate) => (await showCertificate(ADA, serial, parts)).row.held,
    listed: async (state: NonNullable<ListFilter['state']>) =>
      serials((await certificateList(ADA, { state, agent: 'planner' }, {}, parts)).items),
    /** Whether it was held at a time at which it was valid. */
    heldAt: async (time: number, { serial }: IssuedCertificate) => {
      const { items } = await certificatesAt(ADA, { time, agent: 'planner' }, {}, parts);
      const row = items.find((item) => formatSerial(item.serial) === formatSerial(serial));
      return row === undefined ? 'not valid' : row.heldThen === true;
    },
  };
}

onEachEngine('a certificate is held from its quarantine to its release, and the past stays so', async ({ open }) => {
  const installation = await createInstallation(await open());
  const ask = questions(installation);
  await register(installation, 'planner');
  const [one, other] = [
    await letIn(installation, { agent: 'planner' }),
    await letIn(installation, { agent: 'planner' }),
  ];
  const [hex, beside] = [one, other].map(({ serial }) => formatSerial(serial)) as [string, string];
  const before = ask.now();
  assert.equal(await ask.shown(one), undefined);

  const targets: StopTarget[] = [
    { kind: 'certificate', name: hex },
    { kind: 'instance', name: one.instance! },
  ];
  for (const target of targets) {
    installation.advance(MINUTE);
    const stop = await ask.hold(target);
    const within = ask.now();
    installation.advance(MINUTE);
    assert.deepEqual(await ask.shown(one), { since: stop.stoppedAt }, target.kind);
    assert.equal(await ask.shown(other), undefined);
    assert.deepEqual([await ask.listed('held'), await ask.listed('active')], [[hex], [beside]]);
    assert.deepEqual(
      [await ask.heldAt(before, one), await ask.heldAt(within, one), await ask.heldAt(ask.now(), one)],
      [false, true, true],
    );
    assert.equal(await ask.heldAt(within, other), false);

    await ask.release(stop.id);
    installation.advance(MINUTE);
    assert.equal(await ask.shown(one), undefined);
    assert.deepEqual([await ask.listed('held'), (await ask.listed('active')).length], [[], 2]);
    assert.deepEqual([await ask.heldAt(within, one), await ask.heldAt(ask.now(), one)], [true, false]);
  }

  // Two at once: free when nothing holds it any more.
  const both = [await ask.hold(targets[1]!), await ask.hold({ kind: 'agent', name: 'planner' })];
  await ask.release(both[0]!.id);
  assert.ok(await ask.shown(one));
  await ask.release(both[1]!.id);
  assert.equal(await ask.shown(one), undefined);

  // What is revoked in the end was held before.
  installation.advance(MINUTE);
  await ask.hold(targets[1]!);
  const held = ask.now();
  installation.advance(MINUTE);
  await revokeCertificate(ADA, { serial: one.serial, cause: 'key_theft' }, installation.issuance);
  installation.advance(MINUTE);
  assert.equal(await ask.shown(one), undefined);
  assert.deepEqual([await ask.listed('revoked'), await ask.listed('held')], [[hex], []]);
  assert.deepEqual([await ask.heldAt(held, one), await ask.heldAt(ask.now(), one)], [true, 'not valid']);
  await installation.close();
});

onEachEngine('what a quarantine has not marked is held as well', async ({ open }) => {
  const installation = await createInstallation(await open());
  const ask = questions(installation);
  await register(installation, 'planner');
  const one = await letIn(installation, { agent: 'planner' });
  // As the first commit of a stop leaves it.
  const batch = newBatch();
  insertHold(batch, { kind: 'agent', target: 'planner', descend: false, stop: 'somebody' });
  assert.ok((await installation.commit(batch)).committed);
  assert.deepEqual(await ask.shown(one), {});
  assert.deepEqual(await ask.listed('active'), []);
  await installation.close();
});

onEachEngine('what a held authority signed is held', async ({ open }) => {
  const installation = await createInstallation(await open());
  const ask = questions(installation);
  await register(installation, 'planner');
  const one = await letIn(installation, { agent: 'planner' });
  const { id } = installation.issuance.authority.issuer();
  const stop = await ask.hold({ kind: 'authority', name: id });
  assert.deepEqual(await ask.shown(one), { since: stop.stoppedAt });
  assert.deepEqual(await ask.listed('active'), []);
  await installation.close();
});
