/** Where no policy set can be evaluated the network is refused everything, and the server's machine still stops. */
import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import { ADA, callerOf, createInstallation, type Installation, letIn, register } from '../../test/installation.ts';
import type { Caller } from '../base/access.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { newBatch } from '../db/batch.ts';
import { digestOf, insertPolicySet, readPolicySet } from '../policy/store.ts';
import { actingFor } from './acting.ts';
import type { CordParts } from './parts.ts';
import { quarantine } from './quarantine.ts';
import { releaseStop } from './release.ts';
import { stopForEver } from './stop.ts';
import { stopAgent } from './stop-agent.ts';
import { stopInstance } from './stop-instance.ts';

const ADMINISTRATOR: Caller = { kind: 'system', id: 'system:administrator' };
const code = (wanted: ErrorCode) => (error: unknown) => isWritError(error, wanted);

/** Sets of which no request is decided: one that no version of Writ reads, and one that fails whenever it is asked. */
const ERRONEOUS = {
  'cannot be read': 'permit (principal, action, resource) when { principal.nothing',
  'fails on every request':
    '@id("a") @description("b") permit (principal, action, resource) when { 9223372036854775807 + 1 > 0 };',
};

async function publish(installation: Installation, text: string): Promise<void> {
  const { commit, database, clock } = installation;
  const before = (await readPolicySet(database))!;
  const batch = newBatch();
  const set = { ...before, version: before.version + 1, text, digest: digestOf(text), publishedAt: clock.now() };
  insertPolicySet(batch, set);
  await commit(batch);
  await installation.policy.fresh();
}

/** As the command line has it on the server's machine. */
async function here(installation: Installation): Promise<CordParts> {
  const { issuance } = installation;
  return { ...issuance, ...(await actingFor(ADMINISTRATOR, issuance, { policy: true })) };
}

for (const [what, text] of Object.entries(ERRONEOUS)) {
  onEachEngine(`under a set that ${what}, whoever has the machine stops all the same`, async ({ open }) => {
    const installation = await createInstallation(await open());
    const { issuance } = installation;
    for (const agent of ['planner', 'writer']) await register(installation, agent);
    const [one, two] = [
      await letIn(installation, { agent: 'planner' }),
      await letIn(installation, { agent: 'planner' }),
    ];
    await publish(installation, text);
    const cause = 'session_replay';
    const target = { kind: 'agent', name: 'planner' } as const;
    for (const caller of [ADA, callerOf(one)]) {
      await assert.rejects(quarantine(caller, { target, cause }, issuance), code('denied'));
      await assert.rejects(stopInstance(caller, { instance: one.instance!, cause }, issuance), code('denied'));
    }
    const held = await quarantine(ADMINISTRATOR, { target, cause }, await here(installation));
    assert.deepEqual([held.state, held.authority], ['quarantined', ['system']]);
    const released = await releaseStop(ADMINISTRATOR, held.id, await here(installation));
    assert.equal(released.state, 'released', 'one person alone runs this installation');
    const stopped = await stopInstance(ADMINISTRATOR, { instance: one.instance!, cause }, await here(installation));
    assert.equal(stopped.status, 'stopped');
    const label = { target: { kind: 'owner', name: 'research' }, cause } as const;
    assert.equal((await stopForEver(ADMINISTRATOR, label, await here(installation))).state, 'revoked');
    assert.equal(
      (await stopAgent(ADMINISTRATOR, { name: 'planner', cause }, await here(installation))).status,
      'retired',
    );
    await assert.rejects(stopInstance(ADA, { instance: two.instance!, cause }, issuance), code('denied'));
    await installation.close();
  });
}
