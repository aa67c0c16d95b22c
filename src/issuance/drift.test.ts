import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import { callerOf, createInstallation, letIn, newKey, register } from '../../test/installation.ts';
import { readInstanceEvidence } from '../attest/evidence-store.ts';
import { isWritError } from '../base/error.ts';
import type { Runtime } from '../wire/runtime.ts';
import { requireNoDrift } from './drift.ts';
import { renewCertificate } from './renew.ts';

const [TOOLS, OTHER] = ['a'.repeat(64), 'b'.repeat(64)];

onEachEngine('what an instance says of itself for the first time, it has to say from then on', async ({ open }) => {
  const installation = await createInstallation(await open());
  await register(installation, 'planner');
  const made = await letIn(installation, { agent: 'planner' });
  const caller = callerOf(made);
  const { database, clock, issuance } = installation;
  const drifts: (readonly string[])[] = [];
  const parts = {
    reader: database,
    clock,
    drifted: async (_: string, names: readonly string[]) => void drifts.push(names),
  };
  const renew = async (runtime?: Runtime) => {
    const also = await requireNoDrift(caller, runtime, parts);
    return renewCertificate(caller, { csr: await newKey().csr(), also }, issuance);
  };
  const evidence = () => readInstanceEvidence(database, made.instance!);
  const before = (await installation.events()).length;
  await renew();
  assert.equal(await evidence(), undefined);
  await renew({ tools_sha256: TOOLS });
  assert.deepEqual((await evidence())!.facts, { 'agent:claimed': ['tools_sha256'], 'agent:tools_sha256': [TOOLS] });
  await renew({ tools_sha256: TOOLS });
  await renew({ tools_sha256: TOOLS, framework: 'own' });
  const kept = (await evidence())!;
  assert.deepEqual([kept.kind, kept.facts['agent:framework']], ['join-token', ['own']]);
  const added = (await installation.events(before)).filter(({ type }) => type === 'evidence.added');
  assert.deepEqual(
    added.map(({ body }) => [body['caller'], Object.keys(body['facts'] as object).length]),
    [
      [caller.id, 2],
      [caller.id, 3],
    ],
  );
  assert.equal(added[1]!.body['evidence_sha256'], Buffer.from(kept.digest).toString('hex'));
  for (const [runtime, changed] of [
    [{ tools_sha256: OTHER, framework: 'own' }, ['agent:tools_sha256']],
    [{ tools_sha256: TOOLS }, ['agent:framework']],
    [{}, ['agent:framework', 'agent:tools_sha256']],
  ] as const) {
    await assert.rejects(renew(runtime), (error) => isWritError(error, 'inactive'));
    assert.deepEqual(drifts.pop(), changed);
  }

  // Two that say different things first, at the same moment: one is believed.
  const other = await letIn(installation, { agent: 'planner' });
  const both = await Promise.all(
    [TOOLS, OTHER].map((tools_sha256) => requireNoDrift(callerOf(other), { tools_sha256 }, parts)),
  );
  const outcomes = await Promise.allSettled(
    both.map(async (also) => renewCertificate(callerOf(other), { csr: await newKey().csr(), also }, issuance)),
  );
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
  await installation.close();
});
