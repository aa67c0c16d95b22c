import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { onEachEngine } from '../../test/engines.ts';
import { ADA, createInstallation, type Installation, newKey, newToken, register } from '../../test/installation.ts';
import type { Caller } from '../base/access.ts';
import { isWritError } from '../base/error.ts';
import { enrol } from './enrol.ts';
import type { IssuedCertificate } from './issued.ts';
import { renewCertificate } from './renew.ts';

const ANONYMOUS: Caller = { kind: 'anonymous', id: 'anonymous' };

async function letIn(installation: Installation, agent = 'planner', scopes: string[] = []): Promise<IssuedCertificate> {
  const token = await newToken(installation, { agent, ...(scopes.length > 0 ? { scopes, workflow: 'invoices' } : {}) });
  const csr = await newKey().csr();
  return enrol(ANONYMOUS, { evidence: await token.attest(), csr }, installation.issuance);
}

function callerOf(issued: IssuedCertificate): Caller {
  const kind = issued.kind as 'agent' | 'service';
  return { kind, id: issued.id, agent: issued.name, instance: issued.instance!, serial: issued.serial };
}

onEachEngine('an instance is let in, and renews', async ({ open }) => {
  const installation = await createInstallation(await open());
  await register(installation, 'planner');
  const first = await letIn(installation);
  const certificate = new X509Certificate(first.der);
  assert.equal(certificate.subjectAltName, `URI:${first.id}`);
  assert.equal(first.chain.length, 2);
  assert.ok(certificate.verify(new X509Certificate(first.chain[0]!).publicKey));
  installation.advance(2_400_000);
  const second = await renewCertificate(callerOf(first), { csr: await newKey().csr() }, installation.issuance);
  assert.equal(second.instance, first.instance);
  assert.deepEqual(
    (await installation.events(first.leaf - 2)).map(({ type }) => type),
    ['token.used', 'instance.enrolled', 'certificate.issued', 'certificate.renewed'],
  );
  await installation.close();
});
