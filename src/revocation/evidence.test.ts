import assert from 'node:assert/strict';
import { test } from 'node:test';
import { onEachEngine } from '../../test/engines.ts';
import { ADA, createInstallation, letIn, newKey, register, SYSTEM } from '../../test/installation.ts';
import { isWritError } from '../base/error.ts';
import { addOperatorWithCertificate } from '../issuance/operator.ts';
import type { Name } from '../spiffe-id/name.ts';
import { parseEvidence } from './evidence.ts';
import { removeOperator } from './remove-operator.ts';
import { revokeCertificate } from './revoke.ts';
import { stopAgent } from './stop-agent.ts';
import { stopInstance } from './stop-instance.ts';

const EVIDENCE = 'https://soc.example.com/cases/7';
const bob = 'bob' as Name;

onEachEngine('each end names the link that it was made with', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  await register(installation, 'planner');
  const [one, other] = [
    await letIn(installation, { agent: 'planner' }),
    await letIn(installation, { agent: 'planner' }),
  ];
  await letIn(installation, { agent: 'planner' });
  await addOperatorWithCertificate(SYSTEM, { operator: bob, csr: await newKey().csr() }, issuance);
  const ends = {
    'certificate.revoked': (evidence: string) =>
      revokeCertificate(ADA, { serial: one.serial, cause: 'key_theft', evidence }, issuance),
    'instance.stopped': (evidence: string) =>
      stopInstance(ADA, { instance: other.instance!, cause: 'decommissioned', evidence }, issuance),
    // What falls with the cord names the stop, whose own entry has the link.
    'agent.quarantined': (evidence: string) =>
      stopAgent(ADA, { name: 'planner', cause: 'decommissioned', evidence }, issuance),
    'operator.removed': (evidence: string) =>
      removeOperator(SYSTEM, { operator: bob, cause: 'owner_withdrawn', evidence }, issuance),
  };
  for (const [type, end] of Object.entries(ends)) {
    const before = (await installation.events()).length;
    await assert.rejects(end('case 7'), (error) => isWritError(error, 'bad_request'));
    assert.equal((await installation.events()).length, before, 'what is refused leaves no trace');
    await end(EVIDENCE);
    const events = (await installation.events()).slice(before);
    assert.equal(events.find((event) => event.type === type)?.body['evidence'], EVIDENCE, type);
  }
  await installation.close();
});

const LINKS: readonly [string, boolean][] = [
  [EVIDENCE, true],
  ['http://wiki.internal/x?y=z#w', true],
  ['ftp://wiki.internal/x', false],
  ['javascript:alert(1)', false],
  ['https://bob:secret@soc.example.com/', false],
  [`https://soc.example.com/${'x'.repeat(1024)}`, false],
  ['', false],
];

test('evidence is a link that can be followed, without a secret in it', () => {
  for (const [link, good] of LINKS) {
    if (good) assert.equal(parseEvidence(link), link);
    else
      assert.throws(
        () => parseEvidence(link),
        (error) => isWritError(error, 'bad_request') && !error.message.includes('secret'),
      );
  }
});
