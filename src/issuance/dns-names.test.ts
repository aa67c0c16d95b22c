import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { onEachEngine } from '../../test/engines.ts';
import { ADA, callerOf, createInstallation, letIn, newKey, register } from '../../test/installation.ts';
import { isWritError } from '../base/error.ts';
import { changeAgent } from '../registry/update.ts';
import { issueForInstance } from './issue-for-instance.ts';
import type { IssuedCertificate } from './issued.ts';
import { renewCertificate } from './renew.ts';
import { replaceCertificate } from './replace.ts';

const DOMAIN = 'agents.example.com';

onEachEngine('a service has DNS names of its own and nobody else’s', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, registry } = installation;
  await register(installation, 'db', 'service');
  await register(installation, 'web', 'service');
  await register(installation, 'planner');
  const db = await letIn(installation, { agent: 'db' });
  const planner = await letIn(installation, { agent: 'planner' });
  const denied = (error: unknown) => isWritError(error, 'denied');
  const ask = async (dnsNames?: readonly string[], held = db): Promise<string[]> =>
    namesIn(await renewCertificate(callerOf(held), { csr: await newKey().csr(), wish: { dnsNames } }, issuance));

  assert.deepEqual(namesIn(db), [], 'without any name of its own none is in its certificates unless asked for');
  assert.deepEqual(await ask([`db.${DOMAIN}`, `a.db.${DOMAIN}`, 'localhost']), [
    `db.${DOMAIN}`,
    `a.db.${DOMAIN}`,
    'localhost',
  ]);
  for (const name of [DOMAIN, `web.${DOMAIN}`, `bank.${DOMAIN}`, `xdb.${DOMAIN}`]) {
    await assert.rejects(ask([name]), denied, name);
    const request = { instance: db.instance!, csr: await newKey().csr(), wish: { dnsNames: [name] } };
    await assert.rejects(issueForInstance(ADA, request, issuance), denied, 'an operator registers it first');
    await assert.rejects(replaceCertificate(callerOf(db), request, issuance), denied, name);
  }
  await assert.rejects(ask([`planner.${DOMAIN}`], planner), denied, 'the profile of agents has no DNS names');

  const names = [`reports.${DOMAIN}`];
  const change = (dnsNames: readonly string[]) => changeAgent(ADA, { name: 'db', change: { dnsNames } }, registry);
  await change(names);
  assert.deepEqual(await ask(), names, 'what is registered needs not be asked for');
  assert.deepEqual(namesIn(await letIn(installation, { agent: 'db' })), names);
  assert.deepEqual(await ask([`eu.reports.${DOMAIN}`]), [`eu.reports.${DOMAIN}`]);
  assert.deepEqual(await ask([]), []);
  const web = await letIn(installation, { agent: 'web' });
  await assert.rejects(ask(names, web), denied, 'the names of one are not another’s');
  await change([]);
  assert.deepEqual(await ask(), []);
  await assert.rejects(ask(names), denied, 'a name that was taken back is gone from the next certificate');
  await installation.close();
});

function namesIn({ der }: IssuedCertificate): string[] {
  const names = new X509Certificate(der).subjectAltName ?? '';
  return [...names.matchAll(/DNS:([^,]+)/g)].map((match) => match[1]!);
}
