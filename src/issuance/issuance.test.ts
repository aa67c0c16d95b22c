import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { onEachEngine } from '../../test/engines.ts';
import {
  ADA,
  ANONYMOUS,
  callerOf,
  createInstallation,
  type Installation,
  letIn,
  newKey,
  newToken,
  register,
  SYSTEM,
} from '../../test/installation.ts';
import { type ErrorCode, isWritError, type WritError } from '../base/error.ts';
import { formatSerial } from '../ca/certificate/serial.ts';
import { readCertificate } from '../ca/index/certificates.ts';
import { addProfile, readProfile } from '../ca/profile/store.ts';
import { type Batch, newBatch } from '../db/batch.ts';
import { idempotencyOf } from '../http/idempotency.ts';
import { retireAgent } from '../registry/retire.ts';
import type { Name } from '../spiffe-id/name.ts';
import { parseCertificate } from '../x509/certificate.ts';
import { findExtension } from '../x509/extension.ts';
import { AGENT_CONTEXT, decodeAgentContext } from '../x509/extensions/agent-context.ts';
import { enrol } from './enrol.ts';
import { issueForInstance } from './issue-for-instance.ts';
import type { IssuedCertificate } from './issued.ts';
import { addOperatorWithCertificate, issueOperatorCertificate } from './operator.ts';
import { renewCertificate } from './renew.ts';
import { replaceCertificate } from './replace.ts';
import { issueServerCertificate } from './server.ts';

const code = (wanted: ErrorCode, field?: string) => (error: unknown) =>
  isWritError(error, wanted) && (field === undefined || error.field === field);

async function codeOf(outcome: Promise<unknown>): Promise<ErrorCode | 'issued'> {
  try {
    await outcome;
    return 'issued';
  } catch (error) {
    return (error as WritError).code;
  }
}

function contextOf({ der }: IssuedCertificate) {
  const extension = findExtension(parseCertificate(der).extensions, AGENT_CONTEXT);
  return extension === undefined ? undefined : decodeAgentContext(extension.value);
}

function keyed(installation: Installation, key: string, body: Uint8Array, caller = 'somebody') {
  const request = { caller, route: 'POST /v1/x', key: key.padEnd(16, '-'), target: '/v1/x', body };
  return idempotencyOf(request, installation.database, installation.clock);
}

/** Every type and subject that the ledger got since `leaf`. */
async function recorded(installation: Installation, leaf: number): Promise<string[]> {
  return (await installation.events(leaf)).map(({ type }) => type);
}

async function size(installation: Installation): Promise<number> {
  return (await installation.events()).length;
}

/** The installation's parts, with something happening just before each commit of a certificate. */
function disturbed({ issuance }: Installation, happens: () => Promise<unknown>) {
  let done = false;
  const commit = async (batch: Batch) => {
    if (!done && batch.events.some(({ type }) => type.startsWith('certificate.i') || type === 'certificate.renewed')) {
      done = true;
      await happens();
    }
    return issuance.commit(batch);
  };
  return { ...issuance, commit };
}

onEachEngine('an instance is let in, renews and replaces; its history is a chain', async ({ open }) => {
  const installation = await createInstallation(await open(), { rowLimit: 2 });
  const { issuance } = installation;
  await register(installation, 'planner');
  const before = await size(installation);
  const key = newKey();
  const first = await letIn(installation, { agent: 'planner', workflow: 'invoices', scopes: ['read', 'write'] }, key);
  assert.equal(new X509Certificate(first.der).subjectAltName, `URI:${first.id}`);
  assert.ok(new X509Certificate(first.der).verify(new X509Certificate(first.chain[0]!).publicKey));
  assert.equal(first.chain.length, 2);
  assert.deepEqual(contextOf(first), { workflow: 'invoices', scopes: ['read', 'write'] });
  assert.equal(first.expiresAt - first.issuedAt, 3_600_000);

  installation.advance(2_400_000);
  const second = await renewCertificate(callerOf(first), { csr: await key.csr() }, issuance);
  installation.advance(1000);
  const third = await replaceCertificate(callerOf(second), { csr: await newKey().csr() }, issuance);
  const fourth = await issueForInstance(ADA, { instance: first.instance!, csr: await newKey().csr() }, issuance);
  for (const issued of [second, third, fourth]) {
    assert.deepEqual([issued.id, contextOf(issued)], [first.id, contextOf(first)]);
  }
  assert.deepEqual(await recorded(installation, before), [
    'token.created',
    'token.used',
    'instance.enrolled',
    'certificate.issued',
    'certificate.renewed',
    'certificate.replaced',
    'certificate.revoked',
    'certificate.issued',
  ]);
  const chain: string[] = [];
  for (let at: Uint8Array | undefined = fourth.serial; at !== undefined; ) {
    chain.push(formatSerial(at));
    at = (await readCertificate(issuance.certificates, at))?.previous;
  }
  assert.deepEqual(
    chain,
    [fourth, third, second, first].map(({ serial }) => formatSerial(serial)),
  );
  const replaced = await readCertificate(issuance.certificates, second.serial);
  assert.deepEqual(replaced?.revoked, { at: third.issuedAt, reason: 4, cause: 'superseded_by_renewal' });
  for (const issued of [first, second, third, fourth]) {
    const [event] = await installation.events(issued.leaf);
    assert.equal(event?.body['certificate'], Buffer.from(issued.der).toString('base64url'));
    assert.ok(event?.subjects.includes(`serial:${formatSerial(issued.serial)}`));
  }
  await assert.rejects(
    replaceCertificate(ADA, { serial: second.serial, csr: await key.csr() }, issuance),
    code('revoked', '/serial'),
  );
  await installation.close();
});

onEachEngine('a repeat of a renewal gets its answer also where less may be asked for by then', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  await register(installation, 'planner');
  const caller = callerOf(await letIn(installation, { agent: 'planner', scopes: ['read', 'write', 'pay'] }));
  const csr = await newKey().csr();
  const renew = (scopes: readonly string[], key: string) =>
    renewCertificate(caller, { csr, wish: { scopes }, idempotency: keyed(installation, key, csr) }, issuance);
  const first = await renew(['read', 'write'], 'first');
  const second = await renew(['read'], 'second');
  assert.notDeepEqual(second.serial, first.serial);
  const before = await size(installation);
  assert.deepEqual((await renew(['read', 'write'], 'first')).serial, first.serial);
  assert.equal(await size(installation), before, 'and no refusal is on record');
  await assert.rejects(renew(['read', 'write'], 'third'), code('denied'));
});

onEachEngine('a token for one lets one in, however many ask at once', async ({ open }) => {
  const installation = await createInstallation(await open());
  await register(installation, 'planner');
  for (const uses of [1, 3]) {
    const token = await newToken(installation, { agent: 'planner', uses });
    const asked = Array.from({ length: 12 }, async () => {
      const csr = await newKey().csr();
      return codeOf(enrol(ANONYMOUS, { evidence: await token.attest(), csr }, installation.issuance));
    });
    const outcomes = (await Promise.all(asked)).sort();
    assert.deepEqual(outcomes, [...Array(uses).fill('issued'), ...Array(12 - uses).fill('token_refused')]);
    const late = enrol(ANONYMOUS, { evidence: await token.attest(), csr: await newKey().csr() }, installation.issuance);
    await assert.rejects(late, code('token_refused', '/token'));
  }
  const rows = await installation.database.get('SELECT COUNT(*) AS n FROM instance');
  assert.equal(rows?.['n'], 4);
  await installation.close();
});

onEachEngine('a key belongs to one instance', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  await register(installation, 'planner');
  const key = newKey();
  const one = await letIn(installation, { agent: 'planner' }, key);
  const two = await letIn(installation, { agent: 'planner' });
  const before = await size(installation);
  await assert.rejects(renewCertificate(callerOf(two), { csr: await key.csr() }, issuance), code('key_in_use'));
  await assert.rejects(letIn(installation, { agent: 'planner' }, key), code('key_in_use'));
  assert.deepEqual(await recorded(installation, before), ['key.reuse_refused', 'token.created', 'key.reuse_refused']);
  const refused = (await installation.events(before)).filter(({ type }) => type === 'key.reuse_refused');
  assert.equal(refused[0]?.body['caller'], two.id);
  assert.ok(refused[0]?.subjects.includes(`instance:${two.instance}`));
  assert.match(String(refused[1]?.body['caller']), /^token:/);

  await renewCertificate(callerOf(one), { csr: await key.csr() }, issuance);
  const shared = newKey();
  const both = await Promise.all(
    [one, two].map(async (holder) => codeOf(renewCertificate(callerOf(holder), { csr: await shared.csr() }, issuance))),
  );
  assert.deepEqual(both.sort(), ['issued', 'key_in_use']);
  await installation.close();
});

onEachEngine('a renewal narrows and never widens', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  await register(installation, 'planner');
  const first = await letIn(installation, { agent: 'planner', workflow: 'w', scopes: ['a', 'b', 'c'] });
  const caller = callerOf(first);
  const renew = async (scopes?: string[], parts = issuance) =>
    renewCertificate(caller, { csr: await newKey().csr(), wish: { scopes } }, parts);
  assert.deepEqual(contextOf(await renew(['c', 'a'])), { workflow: 'w', scopes: ['a', 'c'] });
  assert.deepEqual(contextOf(await renew()), { workflow: 'w', scopes: ['a', 'c'] });
  await assert.rejects(renew(['a', 'b']), code('denied', '/scopes/1'));
  // One that was decided on more than is left is decided again.
  const raced = await renew(
    undefined,
    disturbed(installation, () => renew(['a'])),
  );
  assert.deepEqual(contextOf(raced), { workflow: 'w', scopes: ['a'] });
  assert.deepEqual(contextOf(await renew([])), { workflow: 'w' });
  await assert.rejects(renew(['a']), code('denied', '/scopes/0'));
  await installation.close();
});

onEachEngine('the commit looks again', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, registry } = installation;
  for (const agent of ['planner', 'writer']) await register(installation, agent);
  const holder = await letIn(installation, { agent: 'planner' });
  const csr = await newKey().csr();

  const published = disturbed(installation, () =>
    installation.commit({
      checks: [],
      writes: [
        {
          sql: 'INSERT INTO policy_set SELECT version + 1, digest, text, schema_digest, published_at, published_by FROM policy_set',
          params: [],
        },
      ],
      events: [],
      bumpsEpoch: true,
      anchored: false,
    }),
  );
  const decided = await renewCertificate(callerOf(holder), { csr }, published);
  const [event] = await installation.events(decided.leaf);
  assert.equal(event?.body['policy'], 2, 'a policy set that came in between decides it again');

  const changed = disturbed(installation, async () => {
    const batch = newBatch();
    const stored = (await readProfile(installation.database, 'agent'))!;
    const lifetime = { ...stored.profile.lifetime, default: 600 };
    addProfile(batch, { ...stored.profile, lifetime }, stored, { now: installation.clock.now(), caller: SYSTEM.id });
    await installation.commit(batch);
  });
  const shorter = await renewCertificate(callerOf(holder), { csr }, changed);
  assert.equal(shorter.expiresAt - shorter.issuedAt, 600_000, 'so does a profile');

  const spent = await newToken(installation, { agent: 'planner' });
  const evidence = await spent.attest();
  const other = disturbed(installation, async () =>
    enrol(ANONYMOUS, { evidence, csr: await newKey().csr() }, issuance),
  );
  await assert.rejects(enrol(ANONYMOUS, { evidence, csr: await newKey().csr() }, other), code('token_refused'));

  const taken = newKey();
  const rival = disturbed(installation, () => letIn(installation, { agent: 'writer' }, taken));
  await assert.rejects(renewCertificate(callerOf(holder), { csr: await taken.csr() }, rival), code('key_in_use'));

  const before = await size(installation);
  const retired = disturbed(installation, () => retireAgent(ADA, 'planner', registry));
  await assert.rejects(renewCertificate(callerOf(holder), { csr }, retired), code('revoked'));
  assert.deepEqual(await recorded(installation, before), ['agent.retired', 'certificate.refused']);
  const rows = await installation.database.get('SELECT COUNT(*) AS n FROM certificate_p1');
  const issues = (await installation.events()).filter(({ type }) => type === 'certificate.issued');
  const renewals = (await installation.events()).filter(({ type }) => type === 'certificate.renewed');
  assert.equal(rows?.['n'], issues.length + renewals.length, 'nothing is left of what was discarded');
  await installation.close();
});

onEachEngine('the same request gets the same answer', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  await register(installation, 'planner');
  const token = await newToken(installation, { agent: 'planner' });
  const csr = await newKey().csr();
  const ask = async (body = csr, key = 'enrol') =>
    enrol(
      ANONYMOUS,
      { evidence: await token.attest(), csr: body, idempotency: keyed(installation, key, body) },
      issuance,
    );
  const first = await ask();
  const again = await ask();
  assert.deepEqual(again, { ...first, serial: again.serial, der: again.der });
  assert.deepEqual(Buffer.from(again.der), Buffer.from(first.der));
  await assert.rejects(ask(csr, 'another key of it'), code('token_refused'));
  await assert.rejects(ask(await newKey().csr()), code('idempotency_mismatch'));

  const renewal = await newKey().csr();
  const renew = () =>
    renewCertificate(callerOf(first), { csr: renewal, idempotency: keyed(installation, 'renewal', renewal) }, issuance);
  const outcomes = await Promise.all(Array.from({ length: 8 }, renew));
  assert.equal(new Set(outcomes.map(({ serial }) => formatSerial(serial))).size, 1);
  const rows = await installation.database.get('SELECT COUNT(*) AS n FROM certificate_p1');
  assert.equal(rows?.['n'], 2);

  const successor = await newKey().csr();
  const replace = () => {
    const idempotency = keyed(installation, 'replacement', successor);
    return replaceCertificate(ADA, { serial: first.serial, csr: successor, idempotency }, issuance);
  };
  const replaced = [...(await Promise.all([replace(), replace()])), await replace()];
  assert.equal(new Set(replaced.map(({ serial }) => formatSerial(serial))).size, 1, 'it revoked what it replaces');

  const shared = await newToken(installation, { agent: 'planner', uses: 2 });
  const other = await newKey().csr();
  const join = async () =>
    enrol(
      ANONYMOUS,
      { evidence: await shared.attest(), csr: other, idempotency: keyed(installation, 'join', other) },
      issuance,
    );
  const { instance = '', serial } = await join();
  assert.deepEqual((await join()).serial, serial);
  await installation.database.transaction((tx) =>
    tx.run("UPDATE instance SET status = 'stopped' WHERE id = ?", [instance]),
  );
  issuance.holders.forget(instance);
  assert.equal(await codeOf(join()), 'revoked', 'a stopped instance is handed nothing, by a token that is good, too');

  await retireAgent(ADA, 'planner', installation.registry);
  assert.equal(await codeOf(renew()), 'revoked', 'a repeat is authorised like any request');
  assert.equal(await codeOf(ask()), 'revoked');
  await installation.close();
});

onEachEngine('nothing outlives what it hangs on', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance, database } = installation;
  await register(installation, 'planner');
  const holder = await letIn(installation, { agent: 'planner' });
  const until = holder.issuedAt + 1_800_000;
  await database.transaction((tx) => tx.run('UPDATE instance SET attested_until = ?', [until]));
  issuance.holders.forget(holder.instance!);
  const bounded = await renewCertificate(callerOf(holder), { csr: await newKey().csr() }, issuance);
  assert.equal(bounded.expiresAt, until);
  installation.advance(1_800_000);
  await assert.rejects(renewCertificate(callerOf(holder), { csr: await newKey().csr() }, issuance), code('expired'));
  await installation.close();
});

onEachEngine('operators and servers get theirs the same way', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  await register(installation, 'planner');
  const bob = 'bob' as Name;
  const also = (batch: Batch) => {
    batch.events.push({
      type: 'operator.added',
      subjects: ['operator:bob'],
      body: { caller: 'system:test', operator: 'bob' },
    });
  };
  const csr = async () => newKey().csr();
  await assert.rejects(
    issueOperatorCertificate(SYSTEM, { operator: bob, csr: await csr() }, issuance),
    code('not_found'),
  );
  const before = await size(installation);
  const added = await addOperatorWithCertificate(SYSTEM, { operator: bob, csr: await csr(), also }, issuance);
  assert.deepEqual(await recorded(installation, before), ['operator.added', 'certificate.issued']);
  assert.equal(new X509Certificate(added.der).subjectAltName, 'URI:spiffe://agents.example.com/operator/bob');
  assert.equal(added.leaf, before + 1);
  const twice = addOperatorWithCertificate(SYSTEM, { operator: bob, csr: await csr(), also }, issuance);
  await assert.rejects(twice, code('conflict'));
  const renewed = await renewCertificate(callerOf(added), { csr: await csr() }, issuance);
  assert.equal(renewed.kind, 'operator');

  const dnsNames = ['localhost', 'writ.agents.example.com', 'localhost'];
  const wish = { dnsNames, ipAddresses: ['127.0.0.1', '::1', '127.0.0.1'] };
  const server = await issueServerCertificate(SYSTEM, { csr: await csr(), wish }, issuance);
  const names = new X509Certificate(server.der).subjectAltName;
  assert.equal(
    names,
    'URI:spiffe://agents.example.com/writ/server, DNS:localhost, DNS:writ.agents.example.com, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1',
  );
  await assert.rejects(issueServerCertificate(ADA, { csr: await csr(), wish }, issuance), code('denied'));
  await installation.close();
});

onEachEngine('whoever may not is refused, and the refusal is on record', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  for (const agent of ['planner', 'writer']) await register(installation, agent);
  const [one, two] = [await letIn(installation, { agent: 'planner' }), await letIn(installation, { agent: 'writer' })];
  const csr = await newKey().csr();
  const broken = csr.with(csr.length - 1, csr.at(-1)! ^ 1);
  const ghost = '01jd0000000000000000000000';
  const cases: [name: string, ask: () => Promise<unknown>, want: ErrorCode, recorded: string[]][] = [
    ['no proof of possession', () => renewCertificate(callerOf(one), { csr: broken }, issuance), 'bad_csr', []],
    ['no request at all', () => renewCertificate(callerOf(one), { csr: new Uint8Array(3) }, issuance), 'bad_der', []],
    ['nobody renews', () => renewCertificate(ANONYMOUS, { csr }, issuance), 'not_authenticated', []],
    [
      'for another instance',
      () => issueForInstance(callerOf(one), { instance: two.instance!, csr }, issuance),
      'denied',
      ['certificate.refused'],
    ],
    [
      'for another instance again, within the minute',
      () => issueForInstance(callerOf(one), { instance: two.instance!, csr }, issuance),
      'denied',
      [],
    ],
    ['for nobody', () => issueForInstance(ADA, { instance: ghost, csr }, issuance), 'not_found', []],
    [
      'too long a life',
      () => renewCertificate(callerOf(two), { csr, wish: { lifetime: 90_000 } }, issuance),
      'denied',
      ['certificate.refused'],
    ],
    [
      'no such token',
      () => enrol(ANONYMOUS, { evidence: { accepted: false, fault: 'unknown' }, csr }, issuance),
      'token_refused',
      [],
    ],
    [
      'a name beyond the profile',
      () => renewCertificate(callerOf(two), { csr, wish: { dnsNames: ['localhost'] } }, issuance),
      'denied',
      [],
    ],
  ];
  for (const [name, ask, want, entries] of cases) {
    const before = await size(installation);
    assert.equal(await codeOf(ask()), want, name);
    assert.deepEqual(await recorded(installation, before), entries, name);
  }
  installation.advance(60_000);
  const before = await size(installation);
  await installation.refusals.flush();
  const counted = (await installation.events(before)).map(
    ({ type, body }) => `${type} ${body['caller']} ${body['count']}`,
  );
  assert.deepEqual(counted.sort(), [
    `certificate.refused ${one.id} 1`,
    `certificate.refused ${two.id} 1`,
    'token.refused anonymous 1',
  ]);
  await installation.close();
});
