/** How much one caller stops alone, and how often: neither by splitting nor one by one does anybody stop all. */
import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import {
  ADA,
  callerOf,
  childOf,
  createInstallation,
  type Installation,
  letIn,
  newKey,
  register,
  registerOf,
  SYSTEM,
} from '../../test/installation.ts';
import type { Caller } from '../base/access.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { addOperatorOf } from '../issuance/add-operator.ts';
import type { IssuedCertificate } from '../issuance/issued.ts';
import { changeOwner } from '../registry/owners.ts';
import { personOf } from '../registry/person.ts';
import { STOPS_A_MINUTE } from '../registry/stop-rate.ts';
import type { Name } from '../spiffe-id/name.ts';
import { confirmStop } from './confirm-stop.ts';
import type { CordParts } from './parts.ts';
import { quarantine } from './quarantine.ts';
import { removeOperator } from './remove-operator.ts';
import { revokeCertificate } from './revoke.ts';
import { stopForEver } from './stop.ts';
import { stopAgent } from './stop-agent.ts';
import { stopInstance } from './stop-instance.ts';
import { wouldFall } from './would-fall.ts';

const BOB: Caller = { kind: 'operator', id: 'spiffe://agents.example.com/operator/bob', operator: 'bob' };
/** Whoever has the passphrase on the server's machine. */
const ADMINISTRATOR: Caller = { kind: 'system', id: 'system:administrator' };

const code = (wanted: ErrorCode) => (error: unknown) => isWritError(error, wanted);
const cause = 'decommissioned';
const cordOf = ({ issuance }: Installation, massStop: number): CordParts => ({ ...issuance, massStop });

/** Agents with so many instances each. */
async function fleet(installation: Installation, agents: number, size: number): Promise<IssuedCertificate[][]> {
  const all: IssuedCertificate[][] = [];
  for (let n = 0; n < agents; n++) {
    await register(installation, `fleet-${n}`);
    const members: IssuedCertificate[] = [];
    while (members.length < size) members.push(await letIn(installation, { agent: `fleet-${n}` }));
    all.push(members);
  }
  return all;
}

onEachEngine('what one person stops for ever within ten minutes counts together', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = cordOf(installation, 5);
  await fleet(installation, 6, 3);
  const target = (n: number) => ({ kind: 'agent', name: `fleet-${n}` }) as const;
  assert.equal((await stopForEver(ADA, { target: target(0), cause }, parts)).state, 'revoked');
  assert.ok((await wouldFall(ADA, { target: target(1), cause, mode: 'revocation' }, parts)).needsSecond);
  const second = await stopForEver(ADA, { target: target(1), cause }, parts);
  assert.deepEqual([second.state, second.revocationBy], ['quarantined', ADA.id], 'three and three are more than five');
  await assert.rejects(
    stopAgent(ADA, { name: 'fleet-2', cause }, parts),
    code('needs_approval'),
    'no other way around',
  );
  // A single one never waits, nor does another person, nor the administrator.
  const alone = await letIn(installation, { agent: 'fleet-3' });
  assert.equal((await stopInstance(ADA, { instance: alone.instance!, cause }, parts)).status, 'stopped');
  assert.equal(
    (await confirmStop(BOB, second.id, parts)).state,
    'revoked',
    'and what two agreed to counts for neither',
  );
  assert.equal((await stopForEver(BOB, { target: target(3), cause }, parts)).state, 'revoked');
  assert.equal((await stopAgent(ADMINISTRATOR, { name: 'fleet-4', cause }, parts)).status, 'retired');

  installation.advance(600_001);
  await installation.issuance.refresh();
  assert.equal((await stopForEver(ADA, { target: target(5), cause }, parts)).state, 'revoked');
  await installation.close();
});

onEachEngine('nor does it help to quarantine first, to come twice, or all at once', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = cordOf(installation, 5);
  await fleet(installation, 6, 3);
  const target = (n: number) => ({ kind: 'agent', name: `fleet-${n}` }) as const;
  for (const n of [0, 1]) await quarantine(ADA, { target: target(n), cause }, parts);
  const ended = await Promise.all([0, 1, 2, 3].map((n) => stopForEver(ADA, { target: target(n), cause }, parts)));
  assert.equal(ended.filter(({ state }) => state === 'revoked').length, 1);
  for (const stop of ended.filter(({ state }) => state !== 'revoked')) {
    assert.deepEqual([stop.state, stop.revocationBy], ['quarantined', ADA.id]);
  }
  await installation.close();
});

onEachEngine('a person is one, whichever of their credentials they come with', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, database } = installation;
  const parts = cordOf(installation, 5);
  await fleet(installation, 2, 3);
  const operator = async (name: string, person?: string): Promise<Caller> => {
    await issuance.refresh();
    const whose = await personOf(database, name as Name, person === undefined ? {} : { person });
    const wanted = { operator: name as Name, csr: await newKey().csr(), person: whose };
    return callerOf(await addOperatorOf(SYSTEM, wanted, issuance));
  };
  // The first operator of all is in security.
  const [sue, laptop] = [await operator('sue'), await operator('sue-laptop', 'sue')];
  const request = (n: number) => ({ target: { kind: 'agent', name: `fleet-${n}` }, cause }) as const;
  assert.equal((await stopForEver(sue, request(0), parts)).state, 'revoked');
  assert.equal((await stopForEver(laptop, request(1), parts)).state, 'quarantined');
  await installation.close();
});

onEachEngine('nor do several credentials stop more often than one', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, database } = installation;
  const parts: CordParts = { ...issuance, stopsAMinute: 2 };
  const [members] = await fleet(installation, 1, 5);
  const operator = async (name: string, person: string): Promise<Caller> => {
    await issuance.refresh();
    const whose = await personOf(database, name as Name, name === person ? {} : { person });
    const wanted = { operator: name as Name, csr: await newKey().csr(), person: whose, groups: ['security'] };
    return callerOf(await addOperatorOf(SYSTEM, wanted, issuance));
  };
  const [sue, laptop] = [await operator('sue', 'sue'), await operator('sue-laptop', 'sue')];
  const [bob, another] = [await operator('bob', 'bob'), await operator('sue-2', 'sue-2')];
  await installation.policy.fresh();
  const hold = (caller: Caller, at: number) =>
    quarantine(caller, { target: { kind: 'instance', name: members![at]!.instance! }, cause }, parts);
  await hold(sue, 0);
  await hold(laptop, 1);
  for (const caller of [sue, laptop]) await assert.rejects(hold(caller, 2), code('rate_limited'));
  await hold(bob, 2);
  await hold(another, 3);
  installation.advance(60_001);
  await issuance.refresh();
  await hold(laptop, 4);
  await installation.close();
});

onEachEngine('nobody ends one by one what they may not end at once', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, registry } = installation;
  const parts: CordParts = { ...issuance, stopsAMinute: 4 };
  await registerOf(installation, 'logistics', 'courier');
  const [members] = await fleet(installation, 1, 6);
  const [first, second, third, ...others] = members!;
  await addOperatorOf(
    SYSTEM,
    {
      operator: 'olga' as Name,
      csr: await newKey().csr(),
      person: await personOf(installation.database, 'olga' as Name, {}),
    },
    issuance,
  );
  // Each way counts.
  await revokeCertificate(ADA, { serial: first!.serial, cause }, parts);
  await stopInstance(ADA, { instance: second!.instance!, cause }, parts);
  await stopForEver(ADA, { target: { kind: 'instance', name: third!.instance! }, cause }, parts);
  await changeOwner(ADA, { team: 'logistics', status: 'gone' }, { ...registry, stopsAMinute: 4 });
  const [one] = others;
  const ways: [string, () => Promise<unknown>][] = [
    ['cert revoke', () => revokeCertificate(ADA, { serial: one!.serial, cause }, parts)],
    ['instance stop', () => stopInstance(ADA, { instance: one!.instance!, cause }, parts)],
    ['agent retire', () => stopAgent(ADA, { name: 'fleet-0', cause }, parts)],
    ['stop', () => stopForEver(ADA, { target: { kind: 'instance', name: one!.instance! }, cause }, parts)],
    ['quarantine', () => quarantine(ADA, { target: { kind: 'instance', name: one!.instance! }, cause }, parts)],
    ['owner remove', () => changeOwner(ADA, { team: 'research', status: 'gone' }, { ...registry, stopsAMinute: 4 })],
  ];
  const held = { target: { kind: 'instance', name: others[1]!.instance! }, cause } as const;
  await quarantine(BOB, held, parts);
  ways.push(['for ever what another holds', () => stopForEver(ADA, held, parts)]);
  const size = (await installation.events()).length;
  for (const [way, act] of ways) await assert.rejects(act(), code('rate_limited'), way);
  assert.equal((await installation.events()).length, size, 'what is refused leaves no trace');
  // Saying again what is so already is no further stop.
  await revokeCertificate(ADA, { serial: first!.serial, cause }, parts);
  await stopInstance(ADA, { instance: second!.instance!, cause }, parts);
  await stopInstance(BOB, { instance: one!.instance!, cause }, parts);
  await removeOperator(ADMINISTRATOR, { operator: 'olga', cause: 'owner_withdrawn' }, { ...parts, stopsAMinute: 0 });
  installation.advance(60_001);
  await issuance.refresh();
  await stopAgent(ADA, { name: 'fleet-0', cause }, parts);
  await installation.close();
});

onEachEngine('removing operators counts as well, and one’s own certificate ends always', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, database } = installation;
  const none: CordParts = { ...issuance, stopsAMinute: 0 };
  const operator = async (name: string): Promise<IssuedCertificate> => {
    await issuance.refresh();
    const person = await personOf(database, name as Name, {});
    return addOperatorOf(SYSTEM, { operator: name as Name, csr: await newKey().csr(), person }, issuance);
  };
  const [rita, olga] = [await operator('rita'), await operator('olga')];
  const allowed = { ...none, authorize: () => ({ allowed: true, rules: ['test'], policyVersion: 1 }) as const };
  const removal = { operator: 'olga', cause: 'owner_withdrawn' };
  await assert.rejects(removeOperator(callerOf(rita), removal, allowed), code('rate_limited'));
  assert.ok((await revokeCertificate(callerOf(olga), { serial: olga.serial, cause: 'key_theft' }, none)).revoked);
  await installation.close();
});

onEachEngine('an instance ends itself and what it started, however many, when its task ends', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  await register(installation, 'planner');
  const parent = await letIn(installation, { agent: 'planner' });
  const none: CordParts = { ...issuance, stopsAMinute: 0 };
  for (let i = 0; i < STOPS_A_MINUTE + 5; i++) {
    const child = await childOf(installation, parent);
    // Some have let in others.
    if (i % 20 === 0) await childOf(installation, child);
    const ended = await stopInstance(callerOf(parent), { instance: child.instance!, cause: 'task_completed' }, none);
    assert.equal(ended.status, 'stopped');
  }
  await stopInstance(callerOf(parent), { instance: parent.instance!, cause: 'task_completed' }, none);
  await installation.close();
});
