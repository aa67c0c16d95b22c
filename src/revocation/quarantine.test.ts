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
  startedBy,
} from '../../test/installation.ts';
import type { Caller } from '../base/access.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { formatSerial } from '../ca/certificate/serial.ts';
import { heldOf, readRevoked } from '../ca/crl/revoked.ts';
import { newBatch } from '../db/batch.ts';
import { EpochCache } from '../db/epoch-cache.ts';
import { enrol } from '../issuance/enrol.ts';
import { readAgent } from '../registry/agent-store.ts';
import { readInstance } from '../registry/instance.ts';
import { changeOwner } from '../registry/owners.ts';
import { STOPS_A_MINUTE } from '../registry/stop-rate.ts';
import { changeAgent } from '../registry/update.ts';
import { actingFor } from './acting.ts';
import { confirmStop } from './confirm-stop.ts';
import { finishStops } from './finish.ts';
import { settleCertificates } from './hold-certificates.ts';
import { settleOrphans } from './orphans.ts';
import type { CordParts } from './parts.ts';
import { quarantine, SIGNAL } from './quarantine.ts';
import { releaseStop } from './release.ts';
import { replayRevocations } from './replay.ts';
import { CertificateStatus } from './status.ts';
import { stopForEver } from './stop.ts';
import { stopAgent } from './stop-agent.ts';
import { stopInstance } from './stop-instance.ts';
import type { StopTarget } from './stop-target.ts';
import { wouldFall } from './would-fall.ts';

const BOB: Caller = { kind: 'operator', id: 'spiffe://agents.example.com/operator/bob', operator: 'bob' };
/** Lets go without the consent of officers, as the administrator on the server's machine does. */
const ADMINISTRATOR: Caller = { kind: 'system', id: 'system:administrator' };

const code = (wanted: ErrorCode) => (error: unknown) => isWritError(error, wanted);

const cordOf = ({ issuance, random }: Installation, massStop = 100): CordParts => ({ ...issuance, random, massStop });

function statusOf({ database, issuance, epoch, clock }: Installation): CertificateStatus {
  const standings = new EpochCache<never>(epoch, 1000);
  return new CertificateStatus({ reader: database, certificates: issuance.certificates, epoch, standings, clock });
}

/** An orchestrator with a child and a grandchild; another instance beside them; an agent of its own. */
async function family(installation: Installation) {
  await register(installation, 'planner');
  await register(installation, 'writer');
  const parent = await letIn(installation, { agent: 'planner', labels: { fleet: 'blue' } });
  const child = await childOf(installation, parent);
  return {
    parent,
    child,
    below: await childOf(installation, child),
    beside: await letIn(installation, { agent: 'planner' }),
    other: await letIn(installation, { agent: 'writer', labels: { fleet: 'blue', x: 'y' } }),
  };
}

type Family = Awaited<ReturnType<typeof family>>;
type Member = keyof Family;

const everybody: readonly Member[] = ['parent', 'child', 'below', 'beside', 'other'];

/** Each kind of target, with whom it reaches. */
const TARGETS: readonly [string, (one: Family) => StopTarget, string, readonly Member[]][] = [
  ['a certificate', ({ child }) => ({ kind: 'certificate', name: formatSerial(child.serial) }), 'key_theft', ['child']],
  [
    'an instance',
    ({ parent }) => ({ kind: 'instance', name: parent.instance! }),
    'decommissioned',
    ['parent', 'child', 'below'],
  ],
  ['a parent', ({ child }) => ({ kind: 'parent', name: child.instance! }), 'task_cancelled', ['child', 'below']],
  ['an agent', () => ({ kind: 'agent', name: 'planner' }), 'policy_change', ['parent', 'child', 'below', 'beside']],
  ['a team', () => ({ kind: 'owner', name: 'research' }), 'owner_withdrawn', everybody],
  ['a label', () => ({ kind: 'label', name: 'fleet=blue' }), 'policy_change', ['parent', 'child', 'below', 'other']],
];

onEachEngine('what is quarantined has no force until it is let go, and what is beside it goes on', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { database } = installation;
  const parts = cordOf(installation);
  const all = await family(installation);
  const status = statusOf(installation);
  for (const [what, target, cause, reaches] of TARGETS) {
    const falls = await wouldFall(ADA, { target: target(all), cause, mode: 'quarantine' }, parts);
    const stop = await quarantine(ADA, { target: target(all), cause, evidence: 'https://soc.example/7' }, parts);
    assert.deepEqual(
      [stop.state, stop.unmarked, stop.authority],
      ['quarantined', false, ['security-pulls-the-cord']],
      what,
    );
    for (const member of everybody) {
      const held = reaches.includes(member);
      const { state } = await status.of(all[member].serial);
      assert.equal(state, held ? 'inactive' : 'good', `${what}: ${member}`);
      const listed = await readRevoked(database, all[member].serial);
      assert.equal(listed?.reason, held ? 6 : undefined, `${what}: ${member} on the lists`);
      const serial = formatSerial(all[member].serial);
      assert.equal(falls.certificates.includes(serial), held, `${what}: ${member} in the dry run`);
      if (held)
        await assert.rejects(renewWith(installation, all[member]), code('inactive'), `${what}: ${member} renews`);
    }
    await assert.rejects(releaseStop(ADA, stop.id, parts), code('needs_approval'), what);
    const released = await releaseStop(ADMINISTRATOR, stop.id, parts);
    assert.deepEqual([released.state, released.unmarked], ['released', false], what);
    for (const member of everybody) {
      assert.equal((await status.of(all[member].serial)).state, 'good', `${what}: ${member} after the release`);
      assert.equal(await readRevoked(database, all[member].serial), undefined, `${what}: ${member} off the lists`);
    }
  }
  for (const member of everybody) await renewWith(installation, all[member]);
  await installation.close();
});

onEachEngine('who comes later under what is held is held as well, and tokens of it let nobody in', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = cordOf(installation);
  const { parent, child } = await family(installation);
  const [ofAgent, ofParent] = [
    await newToken(installation, { agent: 'planner' }),
    await newToken(installation, { agent: 'planner' }, callerOf(parent)),
  ];
  const evidence = await ofAgent.attest();
  const stop = await quarantine(
    ADA,
    { target: { kind: 'parent', name: parent.instance! }, cause: 'policy_change' },
    parts,
  );
  assert.equal((await ofParent.attest()).accepted, false);
  // The agent is not held: others of it come in.
  await enrol(ANONYMOUS, { evidence, csr: await newKey().csr() }, installation.issuance);
  await assert.rejects(newToken(installation, { agent: 'planner' }, callerOf(child)), code('conflict'));

  const late = await newToken(installation, { agent: 'planner' });
  await quarantine(ADA, { target: { kind: 'owner', name: 'research' }, cause: 'owner_withdrawn' }, parts);
  const enrolment = enrol(
    ANONYMOUS,
    { evidence: await late.attest(), csr: await newKey().csr() },
    installation.issuance,
  );
  await assert.rejects(enrolment, code('inactive'));
  assert.equal((await register(installation, 'newcomer')).status, 'quarantined', 'the answer says so, too');
  assert.equal((await readAgent(installation.database, 'newcomer'))?.status, 'quarantined');
  await assert.rejects(newToken(installation, { agent: 'newcomer' }), code('inactive'));

  // Two stops hold the child; one that is let go leaves the other.
  await releaseStop(ADMINISTRATOR, stop.id, parts);
  assert.equal((await readInstance(installation.database, child.instance!))?.status, 'quarantined');
  assert.equal((await heldOf(installation.database, [child])).size, 1);
  await installation.close();
});

for (const [what, target, cause] of TARGETS) {
  onEachEngine(`a stop of ${what} for ever reaches exactly what its dry run named`, async ({ open }) => {
    const installation = await createInstallation(await open());
    const { database } = installation;
    const parts = cordOf(installation);
    const all = await family(installation);
    const tokens = [
      await newToken(installation, { agent: 'planner' }),
      await newToken(installation, { agent: 'planner' }, callerOf(all.parent)),
      await newToken(installation, { agent: 'writer' }),
    ];
    const usable = async () => {
      const letting = await Promise.all(
        tokens.map(async ({ id, attest }) => {
          const evidence = await attest();
          if (!evidence.accepted) return [];
          const agent = await readAgent(database, evidence.attested.agent);
          return agent?.status === 'active' ? [id] : [];
        }),
      );
      return letting.flat();
    };
    const [before, usableBefore] = [await named(installation), await usable()];
    const falls = await wouldFall(ADA, { target: target(all), cause, mode: 'revocation' }, parts);
    const stop = await stopForEver(ADA, { target: target(all), cause }, parts);
    assert.deepEqual([stop.state, stop.unmarked], ['revoked', false]);
    const after = await named(installation);
    const fell = (was: readonly string[], is: readonly string[]) => was.filter((one) => !is.includes(one)).sort();
    assert.deepEqual(fell(before.agents, after.agents), falls.agents);
    assert.deepEqual(fell(before.instances, after.instances), falls.instances);
    assert.deepEqual(fell(before.certificates, after.certificates), falls.certificates);
    assert.deepEqual(fell(usableBefore, await usable()), falls.tokens);
    assert.deepEqual(await database.all('SELECT 1 FROM hold'), []);
    const same = target(all).kind === 'owner' || target(all).kind === 'label';
    if (!same) assert.equal((await stopForEver(BOB, { target: target(all), cause }, parts)).id, stop.id);
    await installation.close();
  });
}

/** What has force. */
async function named({ database, issuance, clock }: Installation) {
  const rows = await database.all("SELECT name FROM agent WHERE status = 'active'");
  const agents = rows.map((row) => String(row['name']));
  const instances = (await database.all("SELECT id FROM instance WHERE status = 'active'")).map((row) =>
    String(row['id']),
  );
  const [partition] = await issuance.certificates.overlapping(clock.now(), clock.now());
  const found = await issuance.certificates.in(
    partition!,
    'SELECT serial FROM {partition} WHERE revoked_at IS NULL AND expires_at > ?',
    [clock.now()],
  );
  return { agents, instances, certificates: found.map((row) => formatSerial(row['serial'] as Uint8Array)) };
}

onEachEngine('of two who stop the same at once, one is recorded and both are answered', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = cordOf(installation);
  await family(installation);
  const target = { kind: 'owner', name: 'research' } as const;
  const held = await Promise.all(
    [ADA, BOB].map((caller) => quarantine(caller, { target, cause: 'owner_withdrawn' }, parts)),
  );
  assert.equal(new Set(held.map(({ id }) => id)).size, 1);
  const ended = await Promise.all(
    [ADA, BOB].map((caller) => stopForEver(caller, { target, cause: 'owner_withdrawn' }, parts)),
  );
  assert.deepEqual(
    ended.map(({ id, state }) => [id, state]),
    [
      [held[0]!.id, 'revoked'],
      [held[0]!.id, 'revoked'],
    ],
  );
  const types = (await installation.events()).map(({ type }) => type);
  for (const type of ['owner.quarantined', 'stop.confirmed', 'stop.completed']) {
    assert.equal(types.filter((one) => one === type).length, 1, type);
  }
  assert.equal(types.filter((one) => one === 'instance.stopped').length, 5);
  assert.equal(types.filter((one) => one === 'agent.retired').length, 2);
  await installation.close();
});

onEachEngine('beyond the threshold one quarantines, and another makes it for ever', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = cordOf(installation, 3);
  const { parent, other } = await family(installation);
  const target = { kind: 'agent', name: 'planner' } as const;
  const request = { target, cause: 'policy_change' };
  assert.ok((await wouldFall(ADA, { ...request, mode: 'revocation' }, parts)).needsSecond);
  const stop = await stopForEver(ADA, request, parts);
  assert.deepEqual([stop.state, stop.revocationBy], ['quarantined', ADA.id]);
  assert.equal((await readAgent(installation.database, 'planner'))?.status, 'quarantined');
  await assert.rejects(confirmStop(ADA, stop.id, parts), code('denied'), 'never the same person');
  await assert.rejects(confirmStop(callerOf(other), stop.id, parts), code('denied'), 'never an agent');
  assert.equal((await stopForEver(ADA, request, parts)).state, 'quarantined', 'asking twice is not two people');
  const ended = await confirmStop(BOB, stop.id, parts);
  assert.deepEqual([ended.state, ended.confirmedBy], ['revoked', BOB.id]);
  assert.equal((await readInstance(installation.database, parent.instance!))?.status, 'stopped');
  assert.equal((await readInstance(installation.database, other.instance!))?.status, 'active');
  await assert.rejects(releaseStop(ADMINISTRATOR, stop.id, parts), code('revoked'));
  await installation.close();
});

onEachEngine('who may pull the cord', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = cordOf(installation);
  const { parent, child, beside } = await family(installation);
  const cause = 'session_replay';
  const signal: Caller = { kind: 'system', id: SIGNAL };
  const allowed: [Caller, StopTarget][] = [
    [callerOf(child), { kind: 'instance', name: child.instance! }],
    [callerOf(parent), { kind: 'parent', name: child.instance! }],
    [signal, { kind: 'instance', name: beside.instance! }],
  ];
  for (const [caller, target] of allowed) await quarantine(caller, { target, cause }, parts);
  const refused: [Caller, StopTarget][] = [
    [callerOf(child), { kind: 'instance', name: parent.instance! }],
    [callerOf(child), { kind: 'instance', name: beside.instance! }],
    [callerOf(parent), { kind: 'agent', name: 'planner' }],
    [callerOf(parent), { kind: 'owner', name: 'research' }],
    [callerOf(parent), { kind: 'label', name: 'fleet=blue' }],
    [ANONYMOUS, { kind: 'agent', name: 'planner' }],
  ];
  for (const [caller, target] of refused) {
    await assert.rejects(quarantine(caller, { target, cause }, parts), code('denied'), `${caller.id} ${target.kind}`);
    await assert.rejects(stopForEver(caller, { target, cause }, parts), code('denied'), `${caller.id} ${target.kind}`);
  }
  await assert.rejects(
    stopForEver(signal, { target: allowed[2]![1], cause }, parts),
    code('denied'),
    'signals only hold',
  );
  await assert.rejects(quarantine(ADA, { target: allowed[0]![1], cause: 'unspecified' }, parts), code('bad_request'));
  const evidence = 'file:///etc/passwd';
  await assert.rejects(quarantine(ADA, { target: allowed[0]![1], cause, evidence }, parts), code('bad_request'));
  await installation.close();
});

onEachEngine('nobody stops without end', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = cordOf(installation);
  await register(installation, 'planner');
  for (let i = 0; i < STOPS_A_MINUTE; i++) {
    await quarantine(ADA, { target: { kind: 'label', name: `n=${i}` }, cause: 'policy_change' }, parts);
  }
  const another = { target: { kind: 'label', name: 'n=more' }, cause: 'policy_change' } as const;
  await assert.rejects(quarantine(ADA, another, parts), code('rate_limited'));
  await quarantine(BOB, another, parts);
  await installation.close();
});

onEachEngine('an authority is held by one, and for ever by several', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  const parts = cordOf(installation);
  await register(installation, 'planner');
  const issued = await letIn(installation, { agent: 'planner' });
  const target = { kind: 'authority', name: issuance.authority.issuer().id } as const;
  const cause = 'authority_compromise';
  const another = await letIn(installation, { agent: 'planner' });
  const falls = await wouldFall(ADA, { target, cause, mode: 'revocation' }, parts);
  assert.deepEqual(falls.certificates, (await named(installation)).certificates.sort(), 'all that it issued');
  assert.ok(falls.certificates.includes(formatSerial(another.serial)));
  assert.deepEqual([falls.agents, falls.instances, falls.tokens], [[], [], []], 'they go on under another authority');
  const stopping = stopForEver(ADA, { target, cause: 'authority_compromise' }, parts);
  await assert.rejects(stopping, code('needs_approval'));
  assert.equal((await statusOf(installation).of(issued.serial)).state, 'inactive');
  await assert.rejects(renewWith(installation, issued), code('inactive'));
  assert.equal((await statusOf(installation).of(another.serial)).state, 'inactive');
  await assert.rejects(letIn(installation, { agent: 'planner' }), code('inactive'));
  const [{ id }] = (await installation.database.all('SELECT id FROM stop')) as [{ id: string }];
  await releaseStop(ADMINISTRATOR, id, parts);
  await renewWith(installation, issued);
  await installation.close();
});

onEachEngine('with whom several must agree, an authority is for ever held', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { database, issuance } = installation;
  const parts = cordOf(installation);
  await register(installation, 'planner');
  const issued = await letIn(installation, { agent: 'planner' });
  const target = { kind: 'authority', name: issuance.authority.issuer().id } as const;
  const stop = await stopForEver(ADMINISTRATOR, { target, cause: 'authority_compromise' }, parts);
  assert.equal(stop.state, 'revoked');
  assert.equal((await statusOf(installation).of(issued.serial)).state, 'inactive');
  await assert.rejects(letIn(installation, { agent: 'planner' }), code('inactive'));
  await assert.rejects(releaseStop(ADMINISTRATOR, stop.id, parts), code('revoked'));
  const listed = await database.get('SELECT reason FROM revoked WHERE issuer <> ?', [target.name]);
  assert.equal(listed?.['reason'], 2, 'on the list of the one above it, as compromised');
  const types = (await installation.events()).map(({ type }) => type);
  assert.ok(types.includes('authority.stopped'));
  await installation.close();
});

onEachEngine('what a team leaves behind is held until somebody answers for it', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { database, registry, issuance } = installation;
  const { parent, other } = await family(installation);
  // What it let in is another team's, and hangs on it all the same.
  await registerOf(installation, 'logistics', 'courier');
  const stranger = await startedBy(installation, other, 'courier');
  const parts = { ...issuance, reader: database };
  await changeOwner(ADA, { team: 'research', status: 'gone' }, registry);
  assert.equal(await settleOrphans(parts), 1);
  for (const { serial } of [parent, other, stranger]) assert.equal((await readRevoked(database, serial))?.reason, 6);
  await assert.rejects(renewWith(installation, parent), code('inactive'));
  const [stop] = (await database.all("SELECT id FROM stop WHERE kind = 'orphan'")) as [{ id: string }];
  await assert.rejects(releaseStop(ADMINISTRATOR, stop.id, cordOf(installation)), code('inactive'));

  // Another team takes one of them over: that one goes on.
  const change = { owner: { team: 'operations', sponsor: 'carol@example.com' } };
  await changeAgent(ADA, { name: 'writer', change }, registry);
  await settleCertificates('writer', parts);
  for (const one of [other, stranger]) {
    assert.equal(await readRevoked(database, one.serial), undefined);
    await renewWith(installation, one);
  }
  assert.equal((await readRevoked(database, parent.serial))?.reason, 6);

  await changeOwner(ADMINISTRATOR, { team: 'research', status: 'active' }, registry);
  assert.equal(await settleOrphans(parts), 1);
  assert.equal(await readRevoked(database, parent.serial), undefined);
  await renewWith(installation, parent);
  assert.equal(await settleOrphans(parts), 0);
  await installation.close();
});

onEachEngine('nobody leads an agent out of its quarantine by the side door', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { registry } = installation;
  const parts = cordOf(installation);
  await register(installation, 'planner');
  const labelled = { name: 'planner', change: { labels: { tier: 'gold' } } };
  await changeAgent(ADA, labelled, registry);
  await quarantine(ADA, { target: { kind: 'owner', name: 'research' }, cause: 'owner_withdrawn' }, parts);
  const away = { name: 'planner', change: { owner: { team: 'operations', sponsor: 'carol@example.com' } } };
  await assert.rejects(changeAgent(ADA, away, registry), code('inactive'));
  await quarantine(ADA, { target: { kind: 'label', name: 'tier=gold' }, cause: 'policy_change' }, parts);
  await assert.rejects(changeAgent(ADA, { name: 'planner', change: { labels: {} } }, registry), code('inactive'));
  await changeAgent(ADA, { name: 'planner', change: { purpose: 'is looked at' } }, registry);
  await installation.close();
});

onEachEngine('whatever ends in between, the rest of a stop follows', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, database } = installation;
  const all = await family(installation);
  const status = statusOf(installation);
  const request = { target: { kind: 'owner', name: 'research' }, cause: 'owner_withdrawn' } as const;
  for (const pull of [quarantine, stopForEver]) {
    let commits = 0;
    const dying: CordParts = {
      ...cordOf(installation),
      async commit(batch) {
        if (batch.writes.length > 0 && ++commits === 2) throw new Error('killed');
        return issuance.commit(batch);
      },
    };
    await assert.rejects(pull(ADA, request, dying), /killed/);
    for (const member of everybody) {
      assert.notEqual((await status.of(all[member].serial)).state, 'good', 'held from the first commit on');
    }
    await finishStops({ ...issuance, reader: database });
    const reasons = await Promise.all(
      everybody.map(async (one) => (await readRevoked(database, all[one].serial))?.reason),
    );
    assert.deepEqual(new Set(reasons), new Set([pull === quarantine ? 6 : 9]));
  }
  assert.deepEqual(await database.all('SELECT 1 FROM hold'), []);
  await installation.close();
});

onEachEngine('an older backup un-holds and un-revokes nothing', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, database } = installation;
  const parts = cordOf(installation, 3);
  const all = await family(installation);
  const from = (await installation.events()).length;
  await quarantine(ADA, { target: { kind: 'label', name: 'fleet=blue' }, cause: 'policy_change' }, parts);
  const lifted = await quarantine(
    ADA,
    { target: { kind: 'instance', name: all.beside.instance! }, cause: 'policy_change' },
    parts,
  );
  await releaseStop(ADMINISTRATOR, lifted.id, parts);
  const below = { target: { kind: 'parent', name: all.child.instance! }, cause: 'task_cancelled' } as const;
  await stopForEver(ADA, below, parts);
  const mass = await stopForEver(
    ADA,
    { target: { kind: 'agent', name: 'planner' }, cause: 'policy_change' },
    cordOf(installation, 1),
  );
  assert.equal(mass.state, 'quarantined');
  await confirmStop(BOB, mass.id, cordOf(installation, 1));
  const recorded = await installation.events(from);

  // The same, in a database that knows the instances and nothing of all that.
  const rows = await database.all('SELECT id, state FROM stop ORDER BY id');
  const older = newBatch();
  const [partition] = await issuance.certificates.overlapping(installation.clock.now(), installation.clock.now());
  for (const sql of [
    'DELETE FROM stop',
    'DELETE FROM hold',
    'DELETE FROM revoked',
    "UPDATE instance SET status = 'active', stopped_at = NULL",
    "UPDATE agent SET status = 'active'",
  ]) {
    older.writes.push({ sql, params: [] });
  }
  older.writes.push({
    sql: 'UPDATE {partition} SET revoked_at = NULL, reason = NULL, cause = NULL',
    params: [],
    partition: { family: 'certificate', at: partition!.startsAt, expires: 0 },
  });
  older.bumpsEpoch = true;
  await issuance.commit(older);
  assert.equal((await statusOf(installation).of(all.parent.serial)).state, 'good', 'or this shows nothing');

  for (const event of recorded) {
    const { writes } = await replayRevocations(database)([event]);
    await issuance.commit({ ...newBatch(), writes: [...writes], bumpsEpoch: true });
  }
  await finishStops({ ...issuance, reader: database });
  const status = statusOf(installation);
  for (const member of ['parent', 'child', 'below', 'beside'] as const) {
    assert.equal((await status.of(all[member].serial)).state, 'revoked', member);
  }
  assert.equal((await status.of(all.other.serial)).state, 'inactive');
  assert.equal((await readRevoked(database, all.other.serial))?.reason, 6);
  assert.deepEqual(await database.all('SELECT id, state FROM stop ORDER BY id'), rows);
  await installation.close();
});

onEachEngine('no way to stop one thing goes around the second person', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = cordOf(installation, 3);
  const all = await family(installation);
  const cause = 'decommissioned';
  const status = statusOf(installation);
  await assert.rejects(stopAgent(ADA, { name: 'planner', kind: 'service', cause }, parts), code('not_found'));
  assert.equal((await status.of(all.parent.serial)).state, 'good');
  await assert.rejects(stopAgent(ADA, { name: 'planner', cause }, parts), code('needs_approval'));
  assert.equal((await status.of(all.parent.serial)).state, 'inactive');
  const below = { instance: all.parent.instance!, cause: 'task_completed' };
  await assert.rejects(stopInstance(ADA, below, cordOf(installation, 2)), code('needs_approval'));
  // Who has no certificate any more does not count, but for those that are held.
  installation.advance(4_000_000);
  await installation.issuance.refresh();
  assert.equal((await stopAgent(ADA, { name: 'writer', cause }, cordOf(installation, 0))).status, 'retired');
  await assert.rejects(stopInstance(ADA, below, cordOf(installation, 0)), code('needs_approval'));
  assert.equal((await stopAgent(ADMINISTRATOR, { name: 'planner', cause }, parts)).status, 'retired');
  await installation.close();
});

onEachEngine('an end says on whose authority it came', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  await register(installation, 'planner');
  const held = await letIn(installation, { agent: 'planner' });
  const acting = await actingFor(callerOf(held), issuance, { policy: false });
  await stopInstance(callerOf(held), { instance: held.instance!, cause: 'task_completed' }, { ...issuance, ...acting });
  const ends = (await installation.events()).filter(({ body }) => body['cause'] === 'task_completed');
  assert.deepEqual(
    ends.map(({ type, body }) => [type, body['authority']]),
    [
      ['instance.stopped', ['instances-stop']],
      ['certificate.revoked', ['instances-stop']],
    ],
  );
  await installation.close();
});
