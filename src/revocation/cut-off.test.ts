/** An authority that is held takes with it everybody who could agree to letting it go. */
import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import { callerOf, createInstallation, type Installation, newKey, SYSTEM } from '../../test/installation.ts';
import type { Caller, Verdict } from '../base/access.ts';
import { isWritError } from '../base/error.ts';
import { activeOf } from '../ca/authority.ts';
import { readHierarchy } from '../ca/hierarchy.ts';
import { addOperatorOf } from '../issuance/add-operator.ts';
import { personOf } from '../registry/person.ts';
import type { Name } from '../spiffe-id/name.ts';
import { actingFor } from './acting.ts';
import type { CordParts } from './parts.ts';
import { quarantine } from './quarantine.ts';
import { releaseStop } from './release.ts';
import { revokeCertificate } from './revoke.ts';

const ADMINISTRATOR: Caller = { kind: 'system', id: 'system:administrator' };
const cause = 'authority_compromise';

async function operator({ issuance, database, policy }: Installation, name: string): Promise<Caller> {
  await issuance.refresh();
  const person = await personOf(database, name as Name, {});
  const made = await addOperatorOf(SYSTEM, { operator: name as Name, csr: await newKey().csr(), person }, issuance);
  await policy.fresh();
  return callerOf(made);
}

/** As the command line has it on the server's machine. */
async function here({ issuance }: Installation): Promise<CordParts> {
  await issuance.refresh();
  return { ...issuance, ...(await actingFor(ADMINISTRATOR, issuance, { policy: true })) };
}

async function verdictOn(
  { issuance, policy }: Installation,
  action: 'operator.add' | 'authority.rotate',
): Promise<Verdict> {
  await issuance.refresh();
  return policy.authorize({ caller: ADMINISTRATOR, action, resource: { type: 'Installation', id: 'writ' } });
}

onEachEngine(
  'where nobody is let in who could agree, whoever has the machine lets the authority go',
  async ({ open }) => {
    const installation = await createInstallation(await open());
    const { issuance, database } = installation;
    const [ada, bob] = [await operator(installation, 'ada'), await operator(installation, 'bob')];
    const issuing = activeOf((await readHierarchy(database))!.authorities, 'issuing')!.id;
    const target = { kind: 'authority', name: issuing } as const;

    // Whoever stops the other by name is not alone by that.
    await revokeCertificate(ada, { serial: bob.serial!, cause: 'key_theft' }, issuance);
    const own = await quarantine(
      ADMINISTRATOR,
      { target: { kind: 'certificate', name: Buffer.from(ada.serial!).toString('hex') }, cause },
      issuance,
    );
    assert.ok(!(await verdictOn(installation, 'authority.rotate')).allowed);
    await assert.rejects(releaseStop(ADMINISTRATOR, own.id, await here(installation)), (error) =>
      isWritError(error, 'needs_approval'),
    );

    const held = await quarantine(ADMINISTRATOR, { target, cause }, issuance);
    const rotate = await verdictOn(installation, 'authority.rotate');
    assert.ok(rotate.allowed);
    assert.deepEqual(rotate.rules, ['administrator.alone']);
    // Nothing but what brings somebody back.
    assert.ok(!(await verdictOn(installation, 'operator.add')).allowed);
    await assert.rejects(releaseStop(ADMINISTRATOR, own.id, await here(installation)), (error) =>
      isWritError(error, 'needs_approval'),
    );
    assert.equal((await releaseStop(ADMINISTRATOR, held.id, await here(installation))).state, 'released');
    const released = (await installation.events()).findLast(({ type }) => type === 'authority.released');
    assert.deepEqual(released?.body['authority'], ['administrator.alone']);
    assert.ok(!(await verdictOn(installation, 'authority.rotate')).allowed, 'others are asked again');
    await installation.close();
  },
);
