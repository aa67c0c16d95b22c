/** Whatever was let in by what is stopped falls with it, full depth, whatever the cause and whichever call it is. */
import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import {
  ADA,
  ANONYMOUS,
  callerOf,
  childOf,
  createInstallation,
  type Installation,
  letIn,
  newKey,
  newToken,
  register,
  registerOf,
  renewWith,
  SYSTEM,
  startedBy,
} from '../../test/installation.ts';
import type { Caller } from '../base/access.ts';
import { isWritError } from '../base/error.ts';
import { readCertificate } from '../ca/index/certificates.ts';
import { CAUSES, type Cause } from '../ca/revocation-cause.ts';
import { type Batch, type CommitBatch, newBatch } from '../db/batch.ts';
import { EpochCache } from '../db/epoch-cache.ts';
import { addOperatorOf } from '../issuance/add-operator.ts';
import { enrol } from '../issuance/enrol.ts';
import type { IssuedCertificate } from '../issuance/issued.ts';
import { renewCertificate } from '../issuance/renew.ts';
import { pushMember } from '../registry/group.ts';
import { insertHold } from '../registry/hold.ts';
import { readInstance } from '../registry/instance.ts';
import { personOf } from '../registry/person.ts';
import type { Name } from '../spiffe-id/name.ts';
import { finishStops } from './finish.ts';
import { quarantine } from './quarantine.ts';
import { revokeCertificate } from './revoke.ts';
import { CertificateStatus } from './status.ts';
import { stopForEver } from './stop.ts';
import { stopAgent } from './stop-agent.ts';
import { stopInstance } from './stop-instance.ts';
import { insertStop, type StopRecord } from './stop-store.ts';

/** An instance with two children, one of which has a child of its own; and one beside them. */
async function family(installation: Installation) {
  await register(installation, 'planner');
  const top = await letIn(installation, { agent: 'planner', labels: { fleet: 'blue' } });
  const [first, second] = [await childOf(installation, top), await childOf(installation, top)];
  return {
    top,
    first,
    second,
    below: await childOf(installation, first),
    beside: await letIn(installation, { agent: 'planner' }),
  };
}

/** Adds one, who is a person; the first of all is an officer. */
async function operator({ issuance, database }: Installation, name: string): Promise<Caller> {
  await issuance.refresh();
  const person = await personOf(database, name as Name, {});
  return callerOf(await addOperatorOf(SYSTEM, { operator: name as Name, csr: await newKey().csr(), person }, issuance));
}

const isActive = async ({ database }: Installation, { instance }: IssuedCertificate): Promise<boolean> =>
  (await readInstance(database, instance!))?.status === 'active';

onEachEngine('an instance takes with it all that it let in, whatever the cause', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  await register(installation, 'planner');
  const beside = await letIn(installation, { agent: 'planner' });
  for (const cause of Object.keys(CAUSES) as Cause[]) {
    const top = await letIn(installation, { agent: 'planner' });
    const child = await childOf(installation, top);
    const below = await childOf(installation, child);
    const since = (await installation.events()).length;
    assert.equal((await stopInstance(SYSTEM, { instance: top.instance!, cause }, issuance)).status, 'stopped');
    for (const one of [top, child, below]) {
      assert.ok(!(await isActive(installation, one)), cause);
      const renewal = renewCertificate(callerOf(one), { csr: await newKey().csr() }, issuance);
      await assert.rejects(renewal, (error) => isWritError(error, 'revoked'), cause);
    }
    const stops = (await installation.events(since)).filter(({ type }) => type === 'instance.stopped');
    assert.deepEqual(
      stops.map(({ body }) => [body['instance'], body['cause']]),
      [
        [top.instance, cause],
        [child.instance, 'cascade'],
        [below.instance, 'cascade'],
      ],
    );
  }
  assert.ok(await isActive(installation, beside));
  await installation.close();
});

onEachEngine('so do an agent, a team and a label, of whichever agent and team the children are', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  await registerOf(installation, 'logistics', 'courier');
  const theirs = await letIn(installation, { agent: 'courier' });
  for (const [n, kind] of (['agent', 'owner', 'label'] as const).entries()) {
    const agent = `planner-${n}`;
    await registerOf(installation, `team-${n}`, agent);
    const top = await letIn(installation, { agent, labels: { fleet: `f${n}` } });
    const started = await startedBy(installation, top, 'courier');
    const below = await childOf(installation, started, 'courier');
    const name = { agent, owner: `team-${n}`, label: `fleet=f${n}` }[kind];
    const request = { target: { kind, name }, cause: 'policy_change' } as const;
    const held = await quarantine(ADA, request, issuance);
    for (const one of [top, started, below]) assert.ok(!(await isActive(installation, one)), `${kind} held`);
    assert.equal((await stopForEver(ADA, request, issuance)).id, held.id);
    for (const { instance } of [top, started, below]) {
      assert.equal((await readInstance(installation.database, instance!))?.status, 'stopped', kind);
    }
  }
  assert.ok(await isActive(installation, theirs), 'what they let in themselves goes on');
  await installation.close();
});

onEachEngine(
  'who may stop the parent ends the child of another team with it, and no other of theirs',
  async ({ open }) => {
    const installation = await createInstallation(await open());
    const { issuance, commit, clock } = installation;
    await register(installation, 'planner');
    await registerOf(installation, 'logistics', 'courier');
    const [, rita] = [await operator(installation, 'first'), await operator(installation, 'rita')];
    const batch = newBatch();
    pushMember(batch, 'research', 'rita', clock.now());
    await commit(batch);
    const top = await letIn(installation, { agent: 'planner' });
    const started = await startedBy(installation, top, 'courier');
    const theirs = await letIn(installation, { agent: 'courier' });
    const cause = 'decommissioned';
    for (const { instance } of [started, theirs]) {
      const stopping = stopInstance(rita, { instance: instance!, cause }, issuance);
      await assert.rejects(stopping, (error) => isWritError(error, 'denied'), 'hers is the parent alone');
    }
    await stopInstance(rita, { instance: top.instance!, cause }, issuance);
    assert.ok(!(await isActive(installation, started)));
    assert.ok(await isActive(installation, theirs));
    await installation.close();
  },
);

onEachEngine('a certificate falls alone: its instance goes on, and so does what that let in', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  const { top, first, below } = await family(installation);
  const latest = await renewWith(installation, top);
  await revokeCertificate(ADA, { serial: top.serial, cause: 'key_theft' }, issuance);
  for (const one of [top, first, below]) assert.ok(await isActive(installation, one));
  await renewWith(installation, latest);
  await installation.close();
});

onEachEngine(
  'an instance that let nobody in ends in one commit, and leaves no record of the cord',
  async ({ open }) => {
    const installation = await createInstallation(await open());
    const { issuance, database } = installation;
    const { below, second } = await family(installation);
    let commits = 0;
    const counting: CommitBatch = (batch) => {
      if (batch.events.length > 0) commits++;
      return issuance.commit(batch);
    };
    await stopInstance(ADA, { instance: below.instance!, cause: 'task_completed' }, { ...issuance, commit: counting });
    assert.equal(commits, 1);
    assert.deepEqual(await database.all('SELECT 1 FROM stop'), []);

    // One that comes in between the look and the commit falls with it.
    let late: IssuedCertificate | undefined;
    const commit = async (batch: Batch) => {
      late ??= await childOf(installation, second);
      return issuance.commit(batch);
    };
    await stopInstance(ADA, { instance: second.instance!, cause: 'task_completed' }, { ...issuance, commit });
    for (const one of [second, late!]) assert.ok(!(await isActive(installation, one)));
    await installation.close();
  },
);

onEachEngine('a link of the chain that is gone already hides nobody below it', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, commit } = installation;
  const { top, first, below } = await family(installation);
  // As a version left it that took nobody along.
  const writes = [top, first].map(({ instance }) => ({
    sql: "UPDATE instance SET status = 'stopped', stopped_at = 1 WHERE id = ?",
    params: [instance!],
  }));
  await commit({ ...newBatch(), writes, bumpsEpoch: true });
  assert.ok(await isActive(installation, below), 'or this shows nothing');
  const stopped = await stopInstance(ADA, { instance: top.instance!, cause: 'decommissioned' }, issuance);
  assert.equal(stopped.stoppedAt, 1, 'that it was stopped stays as it was');
  assert.ok(!(await isActive(installation, below)));
  const size = (await installation.events()).length;
  await stopInstance(ADA, { instance: top.instance!, cause: 'decommissioned' }, issuance);
  assert.equal((await installation.events()).length, size, 'stopping what is stopped records nothing');
  await installation.close();
});

onEachEngine('what an older version held or stopped means what it meant', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, database, commit, clock } = installation;
  const { top, first, second, below, beside } = await family(installation);
  const old = (id: string, target: IssuedCertificate, state: StopRecord['state']): StopRecord => ({
    ...{
      id,
      kind: 'instance',
      target: target.instance!,
      descend: false,
      state,
      unmarked: true,
      cause: 'decommissioned',
    },
    ...{ stoppedBy: ADA.id, authority: [], stoppedAt: clock.now() },
  });
  const batch = newBatch();
  for (const stop of [old('a', top, 'quarantined'), old('b', first, 'revoking')]) {
    insertStop(batch, stop);
    insertHold(batch, { kind: 'instance', target: stop.target, descend: false, stop: stop.id });
  }
  await commit(batch);
  for (const one of [top, first]) assert.ok(!(await isActive(installation, one)));
  await finishStops({ ...issuance, reader: database });
  for (const one of [second, below, beside]) assert.ok(await isActive(installation, one));
  assert.equal((await readInstance(database, first.instance!))?.status, 'stopped');
  // Whoever stops it now takes along what that has left.
  await stopInstance(ADA, { instance: top.instance!, cause: 'decommissioned' }, issuance);
  for (const one of [top, second, below]) assert.ok(!(await isActive(installation, one)));
  assert.ok(await isActive(installation, beside));
  await installation.close();
});

onEachEngine('whatever ends in between, the rest follows, and is held meanwhile', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, database } = installation;
  const { top, first, second, below, beside } = await family(installation);
  let commits = 0;
  const dying: CommitBatch = async (batch) => {
    if (batch.writes.length > 0 && ++commits === 2) throw new Error('killed');
    return issuance.commit(batch);
  };
  const target = { instance: top.instance!, cause: 'task_completed' };
  await assert.rejects(stopInstance(ADA, target, { ...issuance, commit: dying }), /killed/);
  for (const { instance } of [top, first, second, below]) {
    assert.equal((await readInstance(database, instance!))?.status, 'quarantined');
  }
  await finishStops({ ...issuance, reader: database });
  for (const { instance } of [top, first, second, below]) {
    assert.equal((await readInstance(database, instance!))?.status, 'stopped');
  }
  assert.ok(await isActive(installation, beside));
  assert.deepEqual(await database.all('SELECT 1 FROM hold'), []);
  await installation.close();
});

onEachEngine('what is about to be let in or renewed below goes, too', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, database } = installation;
  const members = Object.values(await family(installation));
  const beside = members.pop()!;
  const [top] = members;
  // Tokens that are out when it is stopped.
  const tokens = await Promise.all(
    members.map((one) => newToken(installation, { agent: 'planner', uses: 10 }, callerOf(one))),
  );
  const later: IssuedCertificate[] = [];
  let [stopped, refused] = [false, 0];
  const keepTrying = async (act: () => Promise<IssuedCertificate>): Promise<void> => {
    for (let tries = 0; tries < 200 && !stopped; tries++) {
      try {
        later.push(await act());
      } catch (error) {
        assert.ok(isWritError(error), `${error}`);
        refused++;
      }
    }
  };
  const enrolAgain = async (token: (typeof tokens)[number]) =>
    enrol(ANONYMOUS, { evidence: await token.attest(), csr: await newKey().csr() }, issuance);
  const going = [
    ...members.map((one) => keepTrying(() => renewWith(installation, one))),
    ...tokens.map((token) => keepTrying(() => enrolAgain(token))),
    // Children that come into being while the rest is stopped let in children of their own.
    keepTrying(async () => childOf(installation, later.at(-1) ?? members[1]!)),
  ];
  while (later.length < 8) await new Promise((resolve) => setImmediate(resolve));
  await stopInstance(ADA, { instance: top!.instance!, cause: 'task_completed' }, issuance);
  stopped = true;
  await Promise.all(going);
  assert.ok(refused > 0, 'or nothing was in flight');
  const standings = new EpochCache<never>(installation.epoch, 1000);
  const { certificates } = issuance;
  const status = new CertificateStatus({ ...installation, reader: database, certificates, standings });
  for (const one of [...members, ...later]) {
    assert.ok(!(await isActive(installation, one)), `instance ${one.instance} is active`);
    assert.equal((await status.of(one.serial)).state, 'revoked');
    const row = await readCertificate(issuance.certificates, one.serial);
    assert.ok(row?.revoked !== undefined, 'each certificate is marked, for the revocation lists');
  }
  for (const token of tokens) await assert.rejects(enrolAgain(token), (error) => isWritError(error, 'token_refused'));
  assert.ok(await isActive(installation, beside));
  await installation.close();
});

onEachEngine('an agent that is retired already still takes along what its instances let in', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, commit } = installation;
  await register(installation, 'planner');
  await register(installation, 'researcher');
  const top = await letIn(installation, { agent: 'planner' });
  const started = await startedBy(installation, top, 'researcher');
  // As a version left it that took nobody along.
  const writes = [
    "UPDATE agent SET status = 'retired' WHERE name = 'planner'",
    "UPDATE instance SET status = 'stopped', stopped_at = 1 WHERE agent = 'planner'",
  ];
  await commit({ ...newBatch(), writes: writes.map((sql) => ({ sql, params: [] })), bumpsEpoch: true });
  await stopAgent(ADA, { name: 'planner', cause: 'decommissioned' }, issuance);
  assert.ok(!(await isActive(installation, started)));
  const size = (await installation.events()).length;
  assert.equal((await stopAgent(ADA, { name: 'planner', cause: 'decommissioned' }, issuance)).status, 'retired');
  assert.equal((await installation.events()).length, size);
  await installation.close();
});
