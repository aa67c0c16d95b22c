/** Policy puts anything behind an approval, by the facts of the request: here long lives and names of certificates. */
import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import { createInstallation, type Installation, letIn, newKey, register } from '../../test/installation.ts';
import type { BoundRequest, Caller } from '../base/access.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { readSerial } from '../ca/certificate/serial.ts';
import { newBatch } from '../db/batch.ts';
import { issueForInstance } from '../issuance/issue-for-instance.ts';
import type { IssuedCertificate } from '../issuance/issued.ts';
import type { Wish } from '../issuance/parts.ts';
import { canonicalJson } from '../merkle/canonical-json.ts';
import { requestApproval, type Wanted } from './request.ts';
import { pushApprovalPurge, readApproval } from './store.ts';
import { actingOf, ask, decide, gone, officers, partsOf, publish, restore } from './testdata/people.ts';

const code = (wanted: ErrorCode) => (error: unknown) => isWritError(error, wanted);
const DAY_MS = 86_400_000;

/** Four hours and plain names for everybody; what is more takes two officers. */
const RULES = `
@id("operators-certify")
@description("Operators certify for four hours at most, without names of the front.")
permit (principal is Operator, action == Action::"certificate.issue", resource)
when { context.lifetimeSeconds <= 14400 && !context.dnsNames.contains("front.db.agents.example.com") };

@id("long-lives-and-names-of-the-front")
@description("Longer lives and names of the front take two officers.")
@needs_approval("2 of ca-officers")
permit (principal is Operator, action == Action::"certificate.issue", resource)
when { context.lifetimeSeconds > 14400 || context.dnsNames.contains("front.db.agents.example.com") };
`;

onEachEngine('long lives and certain names are certified with consent alone, others without', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { ada, bob, grace } = await officers(installation);
  await register(installation, 'db', 'service');
  const { instance } = await letIn(installation, { agent: 'db' });
  await publish(installation, (text) => {
    const from = text.indexOf('@id("operators-certify")');
    return text.slice(0, from) + RULES + text.slice(text.indexOf('\n\n', from));
  });
  await installation.policy.fresh();
  const csr = await newKey().csr();
  const parametersOf = (wish: Wish): string => canonicalJson({ path: '/v1/certificates', body: { ...wish } as never });
  const issue = async (wish: Wish, more: Partial<BoundRequest> = {}): Promise<IssuedCertificate> => {
    const bound = { parameters: parametersOf(wish), needs: () => {}, repeated: async () => false, ...more };
    const caller: Caller = { ...ada, bound };
    const acting = await actingOf(installation, caller);
    return issueForInstance(caller, { instance: instance!, csr, wish }, { ...installation.issuance, ...acting });
  };
  const lives = ({ serial }: IssuedCertificate): number => readSerial(serial)!.lifetime;
  assert.equal(lives(await issue({ lifetime: 14_400 })), 14_400);

  const front = ['front.db.agents.example.com'];
  for (const wish of [{ lifetime: 14_401 }, { dnsNames: front }, { dnsNames: front, lifetime: 43_200 }]) {
    let wanted: Pick<Wanted, 'request' | 'verdict'> | undefined;
    const needs: BoundRequest['needs'] = (request, verdict) => {
      wanted = { request, verdict };
    };
    await assert.rejects(issue(wish, { needs }), code('needs_approval'), JSON.stringify(wish));
    const asked = { ...wanted!, parameters: parametersOf(wish), reason: 'a batch' };
    const { id } = await requestApproval(ada, asked, partsOf(installation));
    for (const one of [bob, grace]) await decide(installation, one, { id });
    const longer = { ...wish, lifetime: 86_400 };
    await assert.rejects(issue(longer, { approval: id }), code('needs_approval'), 'for nothing more');
    const issued = await issue(wish, { approval: id });
    const [recorded] = (await installation.events()).filter(
      ({ type, body }) => type === 'certificate.issued' && body['approval'] === id,
    );
    assert.equal(recorded?.leaf, issued.leaf);
    await assert.rejects(issue(wish, { approval: id }), code('needs_approval'), 'once');
  }
});

async function purge({ commit, clock }: Installation): Promise<boolean> {
  const batch = newBatch();
  pushApprovalPurge(batch, clock.now() - 400 * DAY_MS, 500);
  return (await commit(batch)).committed;
}

onEachEngine('what is over is forgotten after 400 days, with what was said of it; the rest stays', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { database, clock } = installation;
  const { ada, bob, grace } = await officers(installation);
  await register(installation, 'planner');
  await gone(installation);
  const used = await ask(installation, ada);
  for (const one of [bob, grace]) await decide(installation, one, used);
  await restore(installation, ada, used.id);
  await gone(installation);
  const denied = await ask(installation, ada, 'research', 604_800);
  installation.advance(6 * DAY_MS);
  await decide(installation, bob, denied, 'denied');
  const kept = async (): Promise<boolean[]> =>
    Promise.all([used, denied].map(async ({ id }) => (await readApproval(database, id, clock.now())) !== undefined));
  installation.advance(394 * DAY_MS);
  assert.equal(await purge(installation), false);
  assert.deepEqual(await kept(), [true, true]);
  installation.advance(1);
  assert.equal(await purge(installation), true);
  assert.deepEqual(await kept(), [false, true], 'from its end on, not from when it was asked for');
  installation.advance(6 * DAY_MS);
  await purge(installation);
  assert.deepEqual(await kept(), [false, false]);
  const left = await database.get('SELECT COUNT(*) AS n FROM approval_decision');
  assert.equal(Number(left?.['n']), 0);
  assert.equal(await purge(installation), false);
});
