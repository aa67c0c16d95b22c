import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import {
  ANONYMOUS,
  callerOf,
  createInstallation,
  type Installation,
  newKey,
  newToken,
  register,
} from '../../test/installation.ts';
import { isWritError } from '../base/error.ts';
import { idempotencyOf } from '../http/idempotency.ts';
import { enrol } from './enrol.ts';
import type { IssuedCertificate } from './issued.ts';
import type { Module, ModuleProof } from './module.ts';
import { renewCertificate } from './renew.ts';
import { replaceCertificate } from './replace.ts';

const MODULE = { attestor: 'modules', key: 'AAAA' };

/** An instance that was let in as by a module; what modules prove is tested in `attest/tpm.test.ts`. */
async function withModule(installation: Installation, kind = 'tpm'): Promise<IssuedCertificate> {
  await register(installation, 'planner');
  const attestation = await (await newToken(installation, { agent: 'planner' })).attest();
  assert.ok(attestation.accepted);
  const evidence = { attestor: MODULE.attestor, digest: new Uint8Array(32), facts: { 'tpm:key': [MODULE.key] } };
  const attested = { ...attestation.attested, kind, evidence };
  const csr = await newKey().csr();
  return enrol(ANONYMOUS, { evidence: { accepted: true, attested }, csr }, installation.issuance);
}

const refused = (error: unknown): boolean => isWritError(error, 'evidence_refused') && error.field === '/tpm';
const yes: ModuleProof = () => true;
const no: ModuleProof = () => false;

onEachEngine('an instance that a module let in renews and replaces by that module alone', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  const held = await withModule(installation);
  const caller = callerOf(held);
  const asked: Module[] = [];
  const csr = await newKey().csr();
  for (const flow of [renewCertificate, replaceCertificate]) {
    await assert.rejects(flow(caller, { csr }, issuance), refused);
    await assert.rejects(flow(caller, { csr, moduleProof: no }, issuance), refused);
  }
  const moduleProof: ModuleProof = (module) => {
    asked.push(module);
    return true;
  };
  const renewed = await renewCertificate(caller, { csr: await newKey().csr(), moduleProof }, issuance);
  assert.deepEqual(asked, [MODULE]);
  await replaceCertificate(callerOf(renewed), { csr: await newKey().csr(), moduleProof: yes }, issuance);
  await installation.refusals.flush(true);
  const refusals = (await installation.events()).filter(({ type }) => type === 'evidence.refused');
  assert.deepEqual(
    refusals.map(({ body }) => body['caller']),
    [caller.id, caller.id],
  );
  await installation.close();
});

onEachEngine('a renewal that was given is given again when its challenge is past its time', async ({ open }) => {
  const installation = await createInstallation(await open());
  const held = await withModule(installation);
  const caller = callerOf(held);
  const csr = await newKey().csr();
  const request = { caller: caller.id, route: 'POST /v1/x', key: 'k'.repeat(16), target: '/v1/x', body: csr };
  const renew = (moduleProof: ModuleProof): Promise<IssuedCertificate> => {
    const idempotency = idempotencyOf(request, installation.database, installation.clock);
    return renewCertificate(caller, { csr, moduleProof, idempotency }, installation.issuance);
  };
  const first = await renew(yes);
  assert.deepEqual((await renew(no)).serial, first.serial);
  await installation.close();
});

onEachEngine('instances that came in without a module are asked for none', async ({ open }) => {
  const installation = await createInstallation(await open());
  const held = await withModule(installation, 'x509pop');
  await renewCertificate(callerOf(held), { csr: await newKey().csr() }, installation.issuance);
  await renewCertificate(callerOf(held), { csr: await newKey().csr(), moduleProof: no }, installation.issuance);
  await installation.close();
});
