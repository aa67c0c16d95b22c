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
  renewWith,
} from '../../test/installation.ts';
import { isWritError } from '../base/error.ts';
import { readCertificate } from '../ca/certificates.ts';
import { readUnfinishedStops } from '../ca/unfinished-stop.ts';
import type { CommitBatch } from '../db/batch.ts';
import { EpochCache } from '../db/epoch-cache.ts';
import { enrol } from '../issuance/enrol.ts';
import type { IssuedCertificate } from '../issuance/issued.ts';
import { renewCertificate } from '../issuance/renew.ts';
import type { RecordedEvent } from '../ledger/entry.ts';
import { readInstance } from '../registry/instance.ts';
import { finishStops } from './finish.ts';
import { replayRevocations } from './replay.ts';
import { CertificateStatus } from './status.ts';
import { stopAgent } from './stop-agent.ts';
import { stopInstance } from './stop-instance.ts';

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

onEachEngine('what is about to be let in or renewed below a thief goes, too', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, database } = installation;
  const members = Object.values(await family(installation));
  const beside = members.pop()!;
  const [thief] = members;
  // Tokens that are out when the theft is noticed.
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
  await stopInstance(ADA, { instance: thief!.instance!, cause: 'key_theft' }, issuance);
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
  assert.deepEqual(await readUnfinishedStops(database), []);
});

onEachEngine('with an agent whose keys were stolen goes what its instances let in of another', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, database } = installation;
  await register(installation, 'planner');
  await register(installation, 'researcher');
  const start = await letIn(installation, { agent: 'planner' });
  const theirs = await letIn(installation, { agent: 'researcher' });
  // As under a policy set that lets planners start researchers.
  const evidence = await (await newToken(installation, { agent: 'researcher' })).attest();
  assert.ok(evidence.accepted);
  const attested = { ...evidence.attested, parent: start.instance! };
  const csr = await newKey().csr();
  const started = await enrol(ANONYMOUS, { evidence: { accepted: true, attested }, csr }, issuance);
  const below = await childOf(installation, started, 'researcher');
  await stopAgent(ADA, { name: 'planner', cause: 'key_theft' }, issuance);
  for (const one of [started, below]) assert.ok(!(await isActive(installation, one)), one.id);
  assert.ok(await isActive(installation, theirs));
  assert.deepEqual(await readUnfinishedStops(database), []);
  await stopAgent(ADA, { name: 'researcher', cause: 'decommissioned' }, issuance);
});
