import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import {
  ADA,
  callerOf,
  createInstallation,
  type Installation,
  letIn,
  newKey,
  register,
  registered,
  SYSTEM,
} from '../../test/installation.ts';
import { createToken } from '../attest/token/create.ts';
import { listTokens } from '../attest/token/store.ts';
import type { Caller } from '../base/access.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { rotateIssuing } from '../ca/authority/maintain.ts';
import { formatSerial } from '../ca/certificate/serial.ts';
import { newBatch } from '../db/batch.ts';
import { idempotencyOf } from '../http/idempotency.ts';
import type { IssuedCertificate } from '../issuance/issued.ts';
import { addOperatorWithCertificate } from '../issuance/operator.ts';
import { renewCertificate } from '../issuance/renew.ts';
import { replaceCertificate } from '../issuance/replace.ts';
import { publishPolicy } from '../policy/publish.ts';
import { defaultPolicyText } from '../policy/text-files.ts';
import { pushMember } from '../registry/group.ts';
import { readInstance } from '../registry/instance.ts';
import { changeOwner } from '../registry/owners.ts';
import { changeAgent } from '../registry/update.ts';
import type { Name } from '../spiffe-id/name.ts';
import { type Acting, actingFor } from './acting.ts';
import { quarantine } from './quarantine.ts';
import { removeOperator } from './remove-operator.ts';
import { revokeCertificate } from './revoke.ts';
import { stopInstance } from './stop-instance.ts';
import type { StopTarget } from './stop-target.ts';

const code = (wanted: ErrorCode) => (error: unknown) => isWritError(error, wanted);

/** Has `meanwhile` happen after the flow has looked at everything, right before its first commit. */
function interrupted<P extends { commit: Installation['commit'] }>(parts: P, meanwhile: () => Promise<unknown>): P {
  let first = true;
  return {
    ...parts,
    async commit(batch) {
      if (first) {
        first = false;
        await meanwhile();
      }
      return parts.commit(batch);
    },
  };
}

/** As the door has it, which says under which epoch it found the caller good. */
function actingAs({ epoch, issuance }: Installation, caller: Caller, looksAt: { policy: boolean }): Promise<Acting> {
  return actingFor({ ...caller, asOf: epoch.current() }, issuance, looksAt);
}

async function tokenParts(installation: Installation, caller: Caller, looksAt = { policy: true }) {
  const { database, clock, random } = installation;
  const server = { address: 'localhost:8443', rootFingerprint: new Uint8Array(32) };
  const acting = await actingAs(installation, caller, looksAt);
  return { reader: database, clock, random, registered: registered(installation), server, ...acting };
}

async function grace(installation: Installation): Promise<Caller> {
  const request = { operator: 'grace' as Name, csr: await newKey().csr() };
  const caller = callerOf(await addOperatorWithCertificate(SYSTEM, request, installation.issuance));
  const batch = newBatch();
  pushMember(batch, 'security', 'grace', installation.clock.now());
  await installation.commit(batch);
  await installation.policy.fresh();
  return caller;
}

const tokens = async ({ database }: Installation) => (await listTokens(database, {}, {})).items.length;

onEachEngine('a certificate that is revoked while it is renewed gets no successor', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  await register(installation, 'planner');
  const issued = await letIn(installation, { agent: 'planner' });
  const caller = callerOf(issued);
  const acting = { ...issuance, ...(await actingAs(installation, caller, { policy: false })) };
  const thief = { csr: await newKey().csr() };
  const revoke = () => revokeCertificate(ADA, { serial: issued.serial, cause: 'key_theft' }, issuance);
  await assert.rejects(renewCertificate(caller, thief, interrupted(acting, revoke)), code('revoked'));
  const events = await installation.events();
  assert.equal(events.filter(({ type }) => type === 'certificate.renewed').length, 0);
  assert.equal(events.at(-1)?.type, 'certificate.refused', 'and it is on record');
});

onEachEngine('whatever changes between the look and the commit of a renewal counts', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, registry, policy, database, commit, clock, random, keyring } = installation;
  await register(installation, 'planner');
  const cord = { ...issuance, random, massStop: 100 };
  const renew = async (meanwhile: (issued: IssuedCertificate) => Promise<unknown>) => {
    await policy.fresh();
    const issued = await letIn(installation, { agent: 'planner', scopes: ['read', 'write'] });
    const acting = { ...issuance, ...(await actingAs(installation, callerOf(issued), { policy: false })) };
    const csr = await newKey().csr();
    return renewCertificate(
      callerOf(issued),
      { csr },
      interrupted(acting, () => meanwhile(issued)),
    );
  };
  const hold = (target: StopTarget) => quarantine(ADA, { target, cause: 'session_replay' }, cord);
  const refused: [ErrorCode, (issued: IssuedCertificate) => Promise<unknown>][] = [
    ['inactive', ({ serial }) => hold({ kind: 'certificate', name: formatSerial(serial) })],
    ['inactive', ({ instance }) => hold({ kind: 'instance', name: instance! })],
    ['revoked', ({ instance }) => stopInstance(ADA, { instance: instance!, cause: 'key_theft' }, issuance)],
  ];
  for (const [wanted, meanwhile] of refused) await assert.rejects(renew(meanwhile), code(wanted));

  // What changes and still allows it: it is gone through again, and says what holds now.
  const rest = { reader: database, keyring, commit, clock, random };
  assert.ok(await renew(() => rotateIssuing(rest)));
  const narrowed = await renew(async (issued) =>
    renewCertificate(callerOf(issued), { csr: await newKey().csr(), wish: { scopes: ['read'] } }, issuance),
  );
  const narrow = await readInstance(database, narrowed.instance!);
  assert.deepEqual(narrow!.scopes, ['read']);
  assert.ok(await renew(() => changeAgent(ADA, { name: 'planner', change: { purpose: 'other tests' } }, registry)));

  await assert.rejects(
    renew(() => hold({ kind: 'agent', name: 'planner' })),
    code('inactive'),
  );
});

onEachEngine('of two equal replacements in flight both get the one answer, and none is refused', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, database, clock } = installation;
  await register(installation, 'planner');
  const caller = callerOf(await letIn(installation, { agent: 'planner' }));
  const acting = async () => ({ ...issuance, ...(await actingAs(installation, caller, { policy: false })) });
  const csr = await newKey().csr();
  const keyed = (key: string) => {
    const request = { caller: caller.id, route: 'POST /v1/x', key: key.padEnd(16, '-'), target: '/v1/x', body: csr };
    return { csr, idempotency: idempotencyOf(request, database, clock) };
  };
  const since = (await installation.events()).length;
  let first: Uint8Array | undefined;
  // The other one goes by way of another thread or replica, and commits first.
  const other = async () => {
    first = (await replaceCertificate(caller, keyed('one'), await acting())).serial;
  };
  const second = await replaceCertificate(caller, keyed('one'), interrupted(await acting(), other));
  assert.deepEqual(second.serial, first);
  assert.deepEqual(
    (await installation.events(since)).map(({ type }) => type),
    ['certificate.replaced', 'certificate.revoked'],
  );
  await assert.rejects(replaceCertificate(caller, keyed('two'), await acting()), code('revoked'));
});

onEachEngine(
  'what is replaced while it is replaced under another key, or by somebody revoked, is not',
  async ({ open }) => {
    const installation = await createInstallation(await open());
    const { issuance, database, clock } = installation;
    await register(installation, 'planner');
    const caller = callerOf(await letIn(installation, { agent: 'planner' }));
    const own = { ...issuance, ...(await actingAs(installation, caller, { policy: false })) };
    const replace = async () => replaceCertificate(caller, { csr: await newKey().csr() }, issuance);
    const thief = { csr: await newKey().csr() };
    await assert.rejects(replaceCertificate(caller, thief, interrupted(own, replace)), code('revoked'));

    const operator = await grace(installation);
    const issued = await letIn(installation, { agent: 'planner' });
    const acting = async () => ({ ...issuance, ...(await actingAs(installation, operator, { policy: false })) });
    const csr = await newKey().csr();
    const key = { caller: operator.id, route: 'POST /v1/x', key: 'another key of 16', target: '/v1/x', body: csr };
    const request = { csr, serial: issued.serial, idempotency: idempotencyOf(key, database, clock) };
    const meanwhile = async () => {
      await replaceCertificate(operator, request, await acting());
      await revokeCertificate(ADA, { serial: operator.serial!, cause: 'key_theft' }, issuance);
    };
    await assert.rejects(
      replaceCertificate(operator, request, interrupted(await acting(), meanwhile)),
      code('revoked'),
    );
  },
);

onEachEngine('an operator who is removed meanwhile has done nothing', async ({ open }) => {
  const installation = await createInstallation(await open());
  await register(installation, 'planner');
  const caller = await grace(installation);
  const before = await tokens(installation);
  const parts = await tokenParts(installation, caller);
  const remove = () =>
    removeOperator(SYSTEM, { operator: 'grace', cause: 'owner_withdrawn' }, { ...installation.issuance });
  await assert.rejects(createToken(caller, { agent: 'planner' }, interrupted(parts, remove)), code('revoked'));
  assert.equal(await tokens(installation), before);
});

onEachEngine('an instance that is stopped, or whose owner goes, meanwhile has done nothing', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, registry } = installation;
  await register(installation, 'planner');
  const [first, second] = [
    await letIn(installation, { agent: 'planner' }),
    await letIn(installation, { agent: 'planner' }),
  ];
  const before = await tokens(installation);
  const meanwhile: [typeof first, () => Promise<unknown>][] = [
    [first, () => stopInstance(ADA, { instance: first.instance!, cause: 'clone_detected' }, issuance)],
    [second, () => changeOwner(ADA, { team: 'research', status: 'gone' }, registry)],
  ];
  for (const [issued, happens] of meanwhile) {
    const parts = await tokenParts(installation, callerOf(issued));
    await assert.rejects(createToken(callerOf(issued), { agent: 'planner' }, interrupted(parts, happens)), isWritError);
  }
  assert.equal(await tokens(installation), before);
});

onEachEngine('what another policy set allowed is discarded, but nobody is kept from stopping', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, policy, database, commit, clock } = installation;
  await register(installation, 'planner');
  const caller = await grace(installation);
  const issued = await letIn(installation, { agent: 'planner' });
  let published = 0;
  const publish = () => {
    const text = `${defaultPolicyText()}// ${published++}`;
    const parts = { reader: database, authorize: policy.authorize, commit, clock, cedar: policy.cedar };
    return publishPolicy(SYSTEM, { text }, parts);
  };
  const parts = await tokenParts(installation, caller);
  await assert.rejects(createToken(caller, { agent: 'planner' }, interrupted(parts, publish)), code('conflict'));

  await policy.fresh();
  const stopping = { ...issuance, ...(await actingAs(installation, caller, { policy: false })) };
  const target = { instance: issued.instance!, cause: 'key_theft' };
  assert.equal((await stopInstance(caller, target, interrupted(stopping, publish))).status, 'stopped');
});

onEachEngine('an instance stops itself, in however many commits', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  await register(installation, 'planner');
  const issued = await letIn(installation, { agent: 'planner' });
  const caller = callerOf(issued);
  for (let i = 0; i < 70; i++) await renewCertificate(caller, { csr: await newKey().csr() }, issuance);
  const stopping = { ...issuance, ...(await actingAs(installation, caller, { policy: false })) };
  await stopInstance(caller, { instance: issued.instance!, cause: 'task_completed' }, stopping);
  const revoked = (await installation.events()).filter(({ type }) => type === 'certificate.revoked');
  assert.equal(revoked.length, 71);
});
