import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import {
  ADA,
  callerOf,
  createInstallation,
  type Installation,
  letIn,
  newKey,
  newToken,
  register,
  SYSTEM,
} from '../../test/installation.ts';
import { type ErrorCode, isWritError, WritError } from '../base/error.ts';
import { formatSerial } from '../ca/certificate/serial.ts';
import { readCertificate } from '../ca/index/certificates.ts';
import { readUnfinishedStops } from '../ca/index/unfinished-stop.ts';
import type { Cause } from '../ca/revocation-cause.ts';
import type { Batch, CommitBatch } from '../db/batch.ts';
import { EpochCache } from '../db/epoch-cache.ts';
import { idempotencyOf } from '../http/idempotency.ts';
import { enrol } from '../issuance/enrol.ts';
import type { IssuedCertificate } from '../issuance/issued.ts';
import { addOperatorWithCertificate } from '../issuance/operator.ts';
import { renewCertificate } from '../issuance/renew.ts';
import { readAgent } from '../registry/agent-store.ts';
import { readInstance } from '../registry/instance.ts';
import type { Name } from '../spiffe-id/name.ts';
import { finishStops } from './finish.ts';
import { removeOperator } from './remove-operator.ts';
import { replayRevocations } from './replay.ts';
import { revokeCertificate } from './revoke.ts';
import { CertificateStatus } from './status.ts';
import { STEP } from './steps.ts';
import { stopAgent } from './stop-agent.ts';
import { stopInstance } from './stop-instance.ts';
import { readUnmarkedStops } from './stop-store.ts';

const code = (wanted: ErrorCode, field?: string) => (error: unknown) =>
  isWritError(error, wanted) && (field === undefined || error.field === field);

function statusOf({ database, issuance, epoch, clock }: Installation): CertificateStatus {
  const standings = new EpochCache<never>(epoch, 1000);
  return new CertificateStatus({ reader: database, certificates: issuance.certificates, epoch, standings, clock });
}

async function recorded(installation: Installation, leaf: number): Promise<string[]> {
  return (await installation.events(leaf)).map(({ type }) => type);
}

async function size(installation: Installation): Promise<number> {
  return (await installation.events()).length;
}

async function renew(installation: Installation, issued: IssuedCertificate, key = newKey()) {
  return renewCertificate(callerOf(issued), { csr: await key.csr() }, installation.issuance);
}

async function revokedOf(installation: Installation, { serial }: IssuedCertificate) {
  return (await readCertificate(installation.issuance.certificates, serial))?.revoked;
}

onEachEngine('a certificate is revoked once and for ever, and its key with it', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  const status = statusOf(installation);
  await register(installation, 'planner');
  const [key, other] = [newKey(), newKey()];
  const first = await letIn(installation, { agent: 'planner' }, key);
  const second = await renew(installation, first, other);
  assert.equal((await status.of(first.serial)).state, 'good');
  const [before, epoch] = [await size(installation), installation.epoch.current()];

  installation.advance(1000);
  const at = installation.clock.now();
  const row = await revokeCertificate(ADA, { serial: first.serial, reason: 'keyCompromise' }, issuance);
  assert.deepEqual(row.revoked, { at, reason: 1, cause: 'key_theft' });
  assert.equal(installation.epoch.current(), epoch + 1);
  assert.equal((await status.of(first.serial)).state, 'revoked', 'no cache outlives the acknowledgement');
  assert.equal((await status.of(second.serial)).state, 'good');

  installation.advance(1000);
  const repeats = await Promise.all(
    ['decommissioned', 'cascade'].map((cause) => revokeCertificate(ADA, { serial: first.serial, cause }, issuance)),
  );
  for (const repeat of repeats) assert.deepEqual(repeat.revoked, row.revoked);
  const [event, ...more] = await installation.events(before);
  assert.equal(more.length, 0);
  assert.deepEqual(event?.subjects, [
    'agent:planner',
    `instance:${first.instance}`,
    `serial:${formatSerial(first.serial)}`,
  ]);
  assert.deepEqual([event?.body['cause'], event?.body['reason']], ['key_theft', 'keyCompromise']);

  await assert.rejects(renew(installation, second, key), code('key_in_use'), 'not even its holder has the key again');
  const third = await renew(installation, second, other);
  assert.equal(third.instance, first.instance);
  await installation.close();
});

onEachEngine('of two who revoke at once, one is recorded', async ({ open }) => {
  const installation = await createInstallation(await open());
  await register(installation, 'planner');
  const issued = await letIn(installation, { agent: 'planner' });
  const before = await size(installation);
  const causes: Cause[] = ['key_theft', 'decommissioned', 'owner_withdrawn', 'policy_change'];
  const rows = await Promise.all(
    causes.map((cause) => revokeCertificate(ADA, { serial: issued.serial, cause }, installation.issuance)),
  );
  assert.equal(new Set(rows.map(({ revoked }) => revoked?.cause)).size, 1);
  assert.deepEqual(await recorded(installation, before), ['certificate.revoked']);
  await installation.close();
});

onEachEngine('who may revoke what', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  for (const agent of ['planner', 'writer']) await register(installation, agent);
  const parent = await letIn(installation, { agent: 'planner' });
  const token = await newToken(installation, { agent: 'planner' }, callerOf(parent));
  const child = await enrol(
    { kind: 'anonymous', id: 'anonymous' },
    { evidence: await token.attest(), csr: await newKey().csr() },
    issuance,
  );
  const stranger = await letIn(installation, { agent: 'writer' });
  const cause = 'cascade';
  const ghost = formatSerial(parent.serial).replace(/.$/, (digit) => (digit === '0' ? '1' : '0'));
  const refusals: [string, () => Promise<unknown>, ErrorCode, string?][] = [
    ['sideways', () => revokeCertificate(callerOf(stranger), { serial: parent.serial, cause }, issuance), 'denied'],
    ['upward', () => revokeCertificate(callerOf(child), { serial: parent.serial, cause }, issuance), 'denied'],
    ['upward, whole', () => stopInstance(callerOf(child), { instance: parent.instance!, cause }, issuance), 'denied'],
    ['an agent its kind', () => stopAgent(callerOf(child), { name: 'planner', cause }, issuance), 'denied'],
    [
      'unspecified',
      () => revokeCertificate(ADA, { serial: parent.serial, reason: 'unspecified' }, issuance),
      'bad_request',
      '/reason',
    ],
    ['no cause', () => stopInstance(ADA, { instance: parent.instance! }, issuance), 'bad_request', '/cause'],
    [
      'what is not there',
      () => revokeCertificate(ADA, { serial: Buffer.from(ghost, 'hex'), cause }, issuance),
      'not_found',
    ],
    [
      'what is not there, by who may not know',
      () => revokeCertificate(callerOf(child), { serial: Buffer.from(ghost, 'hex'), cause }, issuance),
      'denied',
    ],
    [
      'no such instance',
      () => stopInstance(ADA, { instance: '01jd0000000000000000000000', cause }, issuance),
      'not_found',
      '/instance',
    ],
    ['no such agent', () => stopAgent(ADA, { name: 'nobody', cause }, issuance), 'not_found', '/name'],
    [
      'an agent as a service',
      () => stopAgent(ADA, { name: 'planner', kind: 'service', cause }, issuance),
      'not_found',
      '/name',
    ],
  ];
  for (const [name, ask, want, field] of refusals) await assert.rejects(ask(), code(want, field), name);
  assert.equal(await revokedOf(installation, parent), undefined);

  await revokeCertificate(callerOf(parent), { serial: child.serial, cause }, issuance);
  await stopInstance(callerOf(parent), { instance: parent.instance!, cause: 'task_completed' }, issuance);
  assert.equal((await revokedOf(installation, parent))?.reason, 5);
  await installation.close();
});

onEachEngine('a stopped instance is over at once, with every certificate of it', async ({ open }) => {
  const installation = await createInstallation(await open(), { rowLimit: 3 });
  const { issuance, database } = installation;
  const status = statusOf(installation);
  await register(installation, 'planner');
  const other = await letIn(installation, { agent: 'planner' });
  const first = await letIn(installation, { agent: 'planner' });
  const all = [first];
  for (let i = 0; i < 6; i++) {
    installation.advance(60_000);
    all.push(await renew(installation, all.at(-1)!));
  }
  const [before, at] = [await size(installation), installation.clock.now()];
  const target = { instance: first.instance!, cause: 'clone_detected' };
  const stopped = await stopInstance(ADA, target, issuance);
  assert.deepEqual([stopped.status, stopped.stoppedAt], ['stopped', at]);
  assert.deepEqual(await recorded(installation, before), ['instance.stopped', ...Array(7).fill('certificate.revoked')]);
  for (const issued of all) {
    assert.deepEqual(await revokedOf(installation, issued), { at, reason: 1, cause: 'clone_detected' });
    assert.equal((await status.of(issued.serial)).state, 'revoked');
  }
  assert.equal((await status.of(other.serial)).state, 'good');
  await assert.rejects(renew(installation, all.at(-1)!), code('revoked'));
  assert.deepEqual(await readUnfinishedStops(database), []);

  installation.advance(1000);
  assert.deepEqual(await stopInstance(ADA, { ...target, cause: 'cascade' }, issuance), stopped);
  await installation.close();
});

/** Commits that end the process, as far as the flow can tell, after some have succeeded. */
function dyingAfter(commits: number, commit: CommitBatch): CommitBatch {
  let left = commits;
  return async (batch: Batch) => {
    if (left-- === 0) throw new WritError('unavailable', 'the server is stopping');
    return commit(batch);
  };
}

onEachEngine('a stop of many holds from its first commit, and a crash in between is made good', async ({ open }) => {
  const installation = await createInstallation(await open(), { rowLimit: 50 });
  const { issuance, database } = installation;
  const status = statusOf(installation);
  for (const agent of ['planner', 'writer']) await register(installation, agent);
  const spared = await letIn(installation, { agent: 'writer' });
  const holders = [await letIn(installation, { agent: 'planner' }), await letIn(installation, { agent: 'planner' })];
  const key = newKey();
  const all = [...holders];
  for (let i = 0; i < 2 * STEP; i++) all.push(await renew(installation, holders[0]!, key));
  const at = installation.clock.now();
  // The hold, and that it is in the anchor; the agent, its instances, and one step of the certificates.
  const dying = { ...issuance, commit: dyingAfter(5, issuance.commit) };
  const cause = 'owner_withdrawn';
  await assert.rejects(stopAgent(ADA, { name: 'planner', cause }, dying), code('unavailable'));
  assert.equal((await readAgent(database, 'planner'))?.status, 'retired');
  const marked = await Promise.all(all.map((issued) => revokedOf(installation, issued)));
  assert.equal(marked.filter((revoked) => revoked !== undefined).length, STEP, 'one step was done');
  for (const issued of all) assert.equal((await status.of(issued.serial)).state, 'revoked');
  for (const holder of holders) await assert.rejects(renew(installation, holder), code('revoked'));

  installation.advance(60_000);
  assert.equal(await finishStops(issuance), 1);
  for (const issued of all) assert.deepEqual(await revokedOf(installation, issued), { at, reason: 9, cause });
  for (const { instance } of holders) assert.equal((await readInstance(database, instance!))?.status, 'stopped');
  assert.equal(await finishStops(issuance), 0);
  assert.equal((await status.of(spared.serial)).state, 'good');
  const before = await size(installation);
  await stopAgent(ADA, { name: 'planner', cause }, issuance);
  assert.equal(await size(installation), before, 'stopping what is stopped records nothing');
  await installation.close();
});

onEachEngine('a stop of an agent that was cut off is completed under the same idempotency key', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, database, clock } = installation;
  await register(installation, 'planner');
  const holder = await letIn(installation, { agent: 'planner' });
  const idempotency = idempotencyOf(
    {
      caller: ADA.id,
      route: 'POST /v1/agents/{name}/retire',
      key: 'k'.repeat(16),
      target: '/',
      body: Buffer.from('{}'),
    },
    database,
    clock,
  );
  const stop = (parts: typeof issuance) =>
    stopAgent(ADA, { name: 'planner', cause: 'cascade' }, parts, { idempotency });
  await assert.rejects(stop({ ...issuance, commit: dyingAfter(1, issuance.commit) }), code('unavailable'));
  assert.equal((await readUnmarkedStops(database)).length, 1);
  for (let repeats = 0; repeats < 2; repeats++) {
    assert.equal((await stop(issuance)).status, 'retired');
    assert.equal((await readUnmarkedStops(database)).length, 0);
    assert.notEqual(await revokedOf(installation, holder), undefined);
  }
  await installation.close();
});

onEachEngine('the same stop under the same key is one stop', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, database, clock } = installation;
  for (const agent of ['planner', 'writer', 'third']) await register(installation, agent);
  const [a, b, c] = [
    await letIn(installation, { agent: 'planner' }),
    await letIn(installation, { agent: 'writer' }),
    await letIn(installation, { agent: 'third' }),
  ];
  const bob = { operator: 'bob' as Name, csr: await newKey().csr() };
  await addOperatorWithCertificate(SYSTEM, bob, issuance);
  const keyed = (text: string) => ({
    idempotency: idempotencyOf(
      { caller: ADA.id, route: 'POST /v1/x', key: 'a key of many characters', target: text, body: new Uint8Array() },
      database,
      clock,
    ),
  });
  const cause = 'cascade';
  const flows: [string, (text: string) => Promise<unknown>][] = [
    ['certificate', (text) => revokeCertificate(ADA, { serial: a.serial, cause }, issuance, keyed(text))],
    ['instance', (text) => stopInstance(ADA, { instance: b.instance!, cause }, issuance, keyed(text))],
    ['agent', (text) => stopAgent(ADA, { name: 'third', cause }, issuance, keyed(text))],
    ['operator', (text) => removeOperator(SYSTEM, { operator: 'bob', cause }, issuance, keyed(text))],
  ];
  for (const [name, flow] of flows) {
    const first = await flow(name);
    const before = await size(installation);
    assert.deepEqual(await flow(name), first, name);
    assert.equal(await size(installation), before, name);
    await assert.rejects(flow('another target'), code('idempotency_mismatch'), name);
    await database.transaction((tx) => tx.run('DELETE FROM idempotency'));
  }
  assert.notEqual(await revokedOf(installation, c), undefined);
  await installation.close();
});

onEachEngine('nothing slips through a stop that runs against renewals', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  await register(installation, 'planner');
  const holders = await Promise.all(Array.from({ length: 6 }, () => letIn(installation, { agent: 'planner' })));
  const renewals = holders.flatMap((holder) => Array.from({ length: 5 }, () => renew(installation, holder)));
  const stops = [
    ...holders
      .slice(0, 2)
      .map(({ instance }) => stopInstance(ADA, { instance: instance!, cause: 'cascade' }, issuance)),
    stopAgent(ADA, { name: 'planner', cause: 'cascade' }, issuance),
  ];
  const outcomes = await Promise.allSettled(renewals);
  await Promise.all(stops);
  const issued = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  for (const one of [...holders, ...issued]) assert.notEqual(await revokedOf(installation, one), undefined);
  await installation.close();
});

onEachEngine('a certificate that comes between the look and the stop is stopped, too', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  await register(installation, 'planner');
  const first = await letIn(installation, { agent: 'planner' });
  let late: IssuedCertificate | undefined;
  const commit = async (batch: Batch) => {
    late ??= await renew(installation, first);
    return issuance.commit(batch);
  };
  await stopInstance(ADA, { instance: first.instance!, cause: 'cascade' }, { ...issuance, commit });
  for (const issued of [first, late!]) assert.equal((await revokedOf(installation, issued))?.cause, 'cascade');
  await installation.close();
});

onEachEngine('that a certificate is unknown is not remembered', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  const status = statusOf(installation);
  await register(installation, 'planner');
  const first = await letIn(installation, { agent: 'planner' });
  const early: string[] = [];
  const commit = async (batch: Batch) => {
    const serial = batch.writes.find(({ sql }) => sql.startsWith('UPDATE instance SET latest'))?.params[0];
    early.push((await status.of(serial as Uint8Array)).state);
    return issuance.commit(batch);
  };
  const second = await renewCertificate(callerOf(first), { csr: await newKey().csr() }, { ...issuance, commit });
  assert.deepEqual([...early, (await status.of(second.serial)).state], ['unknown', 'good']);
  await installation.close();
});

onEachEngine('standing is what the door is told', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { epoch, clock, database } = installation;
  const status = statusOf(installation);
  for (const agent of ['planner', 'writer']) await register(installation, agent);
  const one = await letIn(installation, { agent: 'planner' });
  const two = await letIn(installation, { agent: 'writer' });
  const fault = async (caller: Parameters<typeof status.standingOf>[0]) => (await status.standingOf(caller))?.code;
  assert.equal(await fault(callerOf(one)), undefined);
  assert.equal(status.standingOf(callerOf(one)), undefined, 'the second time without a wait');
  assert.equal(await fault({ ...callerOf(one), instance: two.instance! }), 'not_authenticated');
  assert.equal(await fault({ ...callerOf(one), serial: new Uint8Array(20) }), 'not_authenticated');
  const ghost = one.serial.with(19, one.serial[19]! ^ 1);
  assert.equal(await fault({ ...callerOf(one), serial: ghost }), 'not_authenticated');

  await database.transaction((tx) => tx.run("UPDATE agent SET status = 'quarantined' WHERE name = 'planner'"));
  epoch.publish(epoch.current() + 1, clock.now());
  assert.equal(await fault(callerOf(one)), 'inactive');
  assert.equal(await fault(callerOf(two)), undefined);
  clock.advance(5001);
  assert.equal(await fault(callerOf(two)), 'unavailable', 'when nobody looks at the epoch, nobody is good');
  installation.advance(3_600_000);
  assert.equal(await fault(callerOf(two)), 'expired');
  await installation.close();
});

onEachEngine('an operator goes with all certificates', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  const status = statusOf(installation);
  const operator = 'bob' as Name;
  const first = await addOperatorWithCertificate(SYSTEM, { operator, csr: await newKey().csr() }, issuance);
  const second = await renew(installation, first);
  await register(installation, 'planner');
  const [his, hers] = [
    await newToken(installation, { agent: 'planner', uses: 100 }, callerOf(first)),
    await newToken(installation, { agent: 'planner' }, ADA),
  ];
  await assert.rejects(
    removeOperator(callerOf(first), { operator, cause: 'decommissioned' }, issuance),
    code('needs_approval'),
  );
  const removed = await removeOperator(SYSTEM, { operator, cause: 'decommissioned' }, issuance);
  assert.equal(removed.status, 'removed');
  for (const { serial } of [first, second]) assert.equal((await status.of(serial)).state, 'revoked');
  await assert.rejects(renew(installation, second), code('revoked'));
  const again = await removeOperator(SYSTEM, { operator, cause: 'cascade' }, issuance);
  assert.equal(again.removedAt, removed.removedAt);
  assert.equal((await his.attest()).accepted, false, 'nobody comes in any more by a token that he made');
  assert.equal((await hers.attest()).accepted, true);
  await installation.close();
});

onEachEngine('what the anchor kept is revoked in an older database, too', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, database } = installation;
  await register(installation, 'planner');
  await register(installation, 'writer');
  const key = newKey();
  const [one, two] = [
    await letIn(installation, { agent: 'planner' }, key),
    await letIn(installation, { agent: 'planner' }),
  ];
  const three = await letIn(installation, { agent: 'writer' });
  const before = await size(installation);
  await revokeCertificate(ADA, { serial: one.serial, cause: 'key_theft' }, issuance);
  await stopInstance(ADA, { instance: two.instance!, cause: 'clone_detected' }, issuance);
  await stopAgent(ADA, { name: 'writer', cause: 'owner_withdrawn' }, issuance);
  const events = await installation.events(before);

  // The database as a backup from before has it, of which one certificate was never heard.
  await database.transaction(async (tx) => {
    for (const sql of [
      'UPDATE certificate_p1 SET revoked_at = NULL, reason = NULL, cause = NULL',
      "UPDATE instance SET status = 'active', stopped_at = NULL",
      "UPDATE agent SET status = 'active'",
      'DELETE FROM key_in_use',
      'DELETE FROM stop',
    ]) {
      await tx.run(sql);
    }
    await tx.run('DELETE FROM certificate_p1 WHERE serial = ?', [three.serial]);
  });
  const batch = await replayRevocations(database)(events);
  await installation.commit({ ...batch, events: [], bumpsEpoch: true, anchored: false });
  assert.equal((await revokedOf(installation, one))?.cause, 'key_theft');
  assert.equal((await revokedOf(installation, two))?.cause, 'clone_detected');
  assert.equal((await readInstance(database, two.instance!))?.status, 'stopped');
  assert.equal((await readAgent(database, 'writer'))?.status, 'retired');
  const lost = await database.all('SELECT serial, cause FROM lost_certificate');
  assert.deepEqual(
    lost.map((row) => [Buffer.from(row['serial'] as Uint8Array), row['cause']]),
    [[Buffer.from(three.serial), 'owner_withdrawn']],
  );
  await assert.rejects(renew(installation, one, key), code('key_in_use'));
  assert.equal(await finishStops(issuance), 2, 'what was left of the stop, and what a stolen key may have let in');
  await installation.close();
});
