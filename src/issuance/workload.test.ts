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
} from '../../test/installation.ts';
import { EntryCache } from '../attest/entry/cache.ts';
import type { EntryInput } from '../attest/entry/input.ts';
import { createEntry, removeEntry, type ShownEntry, showEntries } from '../attest/entry/manage.ts';
import { showOwnEntries } from '../attest/entry/own.ts';
import { readInstanceEvidence } from '../attest/evidence-store.ts';
import type { Authorize } from '../base/access.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { newBatch } from '../db/batch.ts';
import { idempotencyOf } from '../http/idempotency.ts';
import { readInstance, stopInstance } from '../registry/instance.ts';
import { parseCertificate } from '../x509/certificate.ts';
import { findExtension } from '../x509/extension.ts';
import { AGENT_CONTEXT, decodeAgentContext } from '../x509/extensions/agent-context.ts';
import type { IssuedCertificate } from './issued.ts';
import { renewWorkload } from './renew-workload.ts';
import { enrolWorkload } from './workload.ts';

const code = (wanted: ErrorCode, field?: string) => (error: unknown) =>
  isWritError(error, wanted) && (field === undefined || error.field === field);

const FACTS = { 'unix:uid': ['1000'], 'unix:path': ['/opt/planner'], 'unix:sha256': ['aa'] };

function entryParts(installation: Installation) {
  const { database, policy, commit, clock, random } = installation;
  const { authorize } = policy;
  const entries = new EntryCache(database);
  const lifetimeFits = async (_: string, seconds: number) => seconds >= 300;
  const parts = { reader: database, authorize, commit, clock, random, registered: registered(installation) };
  return { ...parts, entries, lifetimeFits };
}

function entry(installation: Installation, more: Partial<EntryInput> = {}): Promise<ShownEntry> {
  const input = { agent: 'planner', source: { node: 'host' }, match: ['unix:uid=1000'], ...more };
  return createEntry(ADA, input, entryParts(installation));
}

async function scene(installation: Installation) {
  await register(installation, 'planner');
  await register(installation, 'host', 'service');
  await register(installation, 'other', 'service');
  const node = await letIn(installation, { agent: 'host' });
  return { node, caller: callerOf(node) };
}

async function lets(
  installation: Installation,
  node: IssuedCertificate,
  { id }: { readonly id: string },
  more: Partial<Parameters<typeof enrolWorkload>[1]> = {},
): Promise<IssuedCertificate> {
  const request = { csr: await newKey().csr(), entry: id, facts: FACTS, ...more };
  return enrolWorkload(callerOf(node), request, installation.issuance);
}

function contextOf({ der }: IssuedCertificate) {
  const extension = findExtension(parseCertificate(der).extensions, AGENT_CONTEXT);
  return extension === undefined ? undefined : decodeAgentContext(extension.value);
}

onEachEngine('a node lets in what an entry asks for, as its child, with what the entry gives', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { node } = await scene(installation);
  const given = { scopes: ['write', 'read'], workflow: 'invoices', labels: { tier: 'gold' }, lifetimeSeconds: 1800 };
  const made = await entry(installation, { ...given, match: ['unix:uid=1000', 'unix:path=/opt/*'], hint: 'main' });
  const before = (await installation.events()).length;
  const child = await lets(installation, node, made, { process: 'pid 7', runtime: { tools_sha256: 'b'.repeat(64) } });
  assert.equal(child.name, 'planner');
  assert.deepEqual(contextOf(child), { workflow: 'invoices', scopes: ['read', 'write'] });
  assert.equal(child.expiresAt - child.issuedAt, 1_800_000);
  const instance = (await readInstance(installation.database, child.instance!))!;
  assert.deepEqual(
    [instance.parent, instance.attestation, instance.reference, instance.labels],
    [node.instance, 'node', 'pid 7', { tier: 'gold' }],
  );
  const facts = { ...FACTS, 'agent:claimed': ['tools_sha256'], 'agent:tools_sha256': ['b'.repeat(64)] };
  const evidence = (await readInstanceEvidence(installation.database, child.instance!))!;
  assert.deepEqual([evidence.kind, evidence.entry, evidence.facts], ['node', made.id, facts]);
  const [enrolled, issued, ...rest] = await installation.events(before);
  assert.deepEqual([enrolled?.type, issued?.type, rest], ['instance.enrolled', 'certificate.issued', []]);
  assert.deepEqual(enrolled?.body['facts'], facts);
  assert.equal(enrolled?.body['entry'], made.id);
  assert.equal(enrolled?.body['evidence_sha256'], Buffer.from(evidence.digest).toString('hex'));
  assert.ok(enrolled?.subjects.includes(`instance:${node.instance}`));

  // Fewer scopes and a shorter life are its own affair, more of either are not to be had.
  const fewer = await lets(installation, node, made, { wish: { scopes: ['read'], lifetime: 600 } });
  assert.deepEqual(contextOf(fewer)?.scopes, ['read']);
  assert.equal(fewer.expiresAt - fewer.issuedAt, 600_000);
  await assert.rejects(lets(installation, node, made, { wish: { scopes: ['admin'] } }), code('denied'));
  const long = await lets(installation, node, made, { wish: { lifetime: 3600 } });
  assert.equal(long.expiresAt - long.issuedAt, 1_800_000);
  await installation.close();
});

onEachEngine('a node lets nobody in by what is not its own, not seen, or gone', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { node } = await scene(installation);
  const made = await entry(installation);
  const others = await entry(installation, { source: { node: 'other' } });
  await assert.rejects(lets(installation, node, others), code('denied'));
  await assert.rejects(lets(installation, node, made, { facts: { 'unix:uid': ['1001'] } }), code('denied'));
  await assert.rejects(lets(installation, node, made, { facts: {} }), code('denied'));
  await assert.rejects(lets(installation, node, { id: '01kaj8wzzzzzzzzzzzzzzzzzzz' }), code('not_found', '/entry'));
  const planner = await letIn(installation, { agent: 'planner' });
  await assert.rejects(lets(installation, planner, made), code('denied'));
  await installation.refusals.flush(true);
  const refused = (await installation.events()).filter(({ type }) => type === 'certificate.refused');
  assert.ok(refused.length >= 2);
  assert.equal(refused[0]?.body['caller'], node.id);
  assert.equal(refused[0]?.body['action'], 'workload.enrol');

  // What the node says of the agent itself is not taken for something that was seen.
  const wanting = await entry(installation, { match: ['agent:tools_sha256=aa'] });
  await assert.rejects(lets(installation, node, wanting, { facts: { 'agent:tools_sha256': ['aa'] } }), code('denied'));

  await removeEntry(ADA, made.id, entryParts(installation));
  await assert.rejects(lets(installation, node, made), code('not_found', '/entry'));
  await installation.close();
});

onEachEngine(
  'an entry that is removed, or a node that is stopped, in the very moment lets nobody in',
  async ({ open }) => {
    const installation = await createInstallation(await open());
    const { node } = await scene(installation);
    const disturbed = (happens: () => Promise<unknown>) => {
      let done = false;
      return {
        ...installation.issuance,
        commit: async (batch: Parameters<typeof installation.commit>[0]) => {
          if (!done && batch.events.some(({ type }) => type === 'instance.enrolled')) {
            done = true;
            await happens();
          }
          return installation.commit(batch);
        },
      };
    };
    const made = await entry(installation);
    const request = async () => ({ csr: await newKey().csr(), entry: made.id, facts: FACTS });
    const removed = disturbed(() => removeEntry(ADA, made.id, entryParts(installation)));
    await assert.rejects(enrolWorkload(callerOf(node), await request(), removed), code('not_found', '/entry'));

    const again = await entry(installation);
    const stopped = disturbed(async () => {
      const batch = newBatch();
      stopInstance(batch, node.instance!, installation.clock.now());
      await installation.commit(batch);
    });
    await assert.rejects(
      enrolWorkload(callerOf(node), { ...(await request()), entry: again.id }, stopped),
      code('conflict'),
    );
    const rows = await installation.database.all('SELECT 1 FROM instance WHERE parent = ?', [node.instance!]);
    assert.equal(rows.length, 0);
    await installation.close();
  },
);

onEachEngine('the parent alone renews, by the entry, and a workload that changed is held', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { node } = await scene(installation);
  const sibling = await letIn(installation, { agent: 'host' });
  const made = await entry(installation, { scopes: ['read'] });
  const runtime = { tools_sha256: 'b'.repeat(64) };
  const child = await lets(installation, node, made, { runtime });
  const drifts: [string, readonly string[]][] = [];
  const parts = {
    ...installation.issuance,
    drifted: async (instance: string, names: readonly string[]) => void drifts.push([instance, names]),
  };
  const renew = async (by: IssuedCertificate, more: object = {}) =>
    renewWorkload(callerOf(by), { instance: child.instance!, csr: await newKey().csr(), ...more }, parts);

  installation.advance(1000);
  const next = await renew(node);
  assert.equal(next.id, child.id);
  assert.deepEqual(contextOf(next)?.scopes, ['read']);
  const same = await renew(node, { facts: { ...FACTS, 'unix:gid': ['5'] }, runtime });
  assert.equal(same.id, child.id);
  assert.deepEqual(drifts, []);
  for (const other of [sibling, child, await letIn(installation, { agent: 'planner' })]) {
    await assert.rejects(renew(other), code('denied'));
  }
  await assert.rejects(renew(node, { instance: sibling.instance! }), code('denied'));

  const changed: [object, string[]][] = [
    [{ facts: { ...FACTS, 'unix:sha256': ['cc'] } }, ['unix:sha256']],
    [{ facts: { 'unix:uid': ['1000'], 'unix:path': ['/opt/planner'] } }, ['unix:sha256']],
    [{ facts: { ...FACTS, 'unix:uid': ['0'] } }, ['unix:uid']],
    [{ runtime: { tools_sha256: 'c'.repeat(64) } }, ['agent:tools_sha256']],
    [{ facts: FACTS, runtime: {} }, ['agent:tools_sha256']],
  ];
  for (const [more, names] of changed) {
    await assert.rejects(renew(node, more), code('inactive'));
    assert.deepEqual(drifts.pop(), [child.instance, names]);
  }

  const gone = await lets(installation, node, made);
  const stop = newBatch();
  stopInstance(stop, gone.instance!, installation.clock.now());
  await installation.commit(stop);
  const facts = { ...FACTS, 'unix:sha256': ['cc'] };
  await assert.rejects(renew(node, { instance: gone.instance!, facts }), code('revoked'));
  assert.deepEqual(drifts, []);

  await removeEntry(ADA, made.id, entryParts(installation));
  await assert.rejects(renew(node), code('inactive'));
  assert.deepEqual(drifts, []);
  await installation.close();
});

onEachEngine('a repeat under one key is the same instance', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { node } = await scene(installation);
  const made = await entry(installation);
  const csr = await newKey().csr();
  const idempotency = () =>
    idempotencyOf(
      { caller: node.id, route: 'POST /v1/workloads', key: 'k'.repeat(16), target: '/v1/workloads', body: csr },
      installation.database,
      installation.clock,
    );
  const first = await lets(installation, node, made, { csr, idempotency: idempotency() });
  const second = await lets(installation, node, made, { csr, idempotency: idempotency() });
  assert.equal(second.instance, first.instance);
  await installation.close();
});

onEachEngine(
  'entries are listed, a node hears of its own by pages, and each change shows in the revision',
  async ({ open }) => {
    const installation = await createInstallation(await open());
    const { caller } = await scene(installation);
    const parts = entryParts(installation);
    assert.deepEqual(await showOwnEntries(caller, {}, parts), { revision: 0, entries: [] });
    const made = await entry(installation);
    installation.advance(1);
    await entry(installation, { source: { node: 'other' } });
    const own = await showOwnEntries(caller, {}, parts);
    assert.deepEqual([own.revision, own.entries], [1, [made]]);
    assert.equal((await showEntries(ADA, {}, {}, parts)).items.length, 2);
    assert.equal((await showEntries(ADA, { node: 'other' }, {}, parts)).items.length, 1);
    assert.equal((await showEntries(ADA, { agent: 'host' }, {}, parts)).items.length, 0);
    const page = await showEntries(ADA, {}, { limit: 1 }, parts);
    assert.deepEqual(page.items, [made]);
    assert.equal((await showEntries(ADA, {}, { cursor: page.next! }, parts)).items.length, 1);

    const batch = newBatch();
    for (let at = 0; at < 1001; at++) {
      batch.writes.push({
        sql:
          'INSERT INTO registration_entry (id, node, agent, matchers, scopes, labels, federates_with, per, created_at, created_by) ' +
          "VALUES (?, 'host', 'planner', '[\"unix:uid=1\"]', '[]', '{}', '[]', 'process', 1, 'x')",
        params: [`7${String(at).padStart(25, '0')}`],
      });
    }
    await installation.commit(batch);
    assert.equal((await showOwnEntries(caller, {}, parts)).entries.length, 1, 'the same revision is not read again');
    await entry(installation, { match: ['unix:uid=7'] });
    const first = await showOwnEntries(caller, {}, parts);
    assert.equal(first.entries.length, 1000);
    const rest = await showOwnEntries(caller, { after: first.next! }, parts);
    assert.deepEqual([rest.entries.length, rest.next], [3, undefined]);
    assert.deepEqual((await showOwnEntries(caller, { after: rest.entries.at(-1)!.id }, parts)).entries, []);
    await removeEntry(ADA, made.id, parts);
    const after = await showOwnEntries(caller, {}, parts);
    assert.deepEqual([after.revision, after.entries.some(({ id }) => id === made.id)], [3, false]);
    await assert.rejects(showOwnEntries(ADA, {}, parts), code('denied'));
    await installation.close();
  },
);

onEachEngine('no entry without leave, for nobody, or of a shape that lets everybody in', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { caller } = await scene(installation);
  const parts = entryParts(installation);
  const bad: [Partial<EntryInput>, ErrorCode, string][] = [
    [{ match: [] }, 'bad_request', '/match'],
    [{ match: ['unix:uid'] }, 'bad_request', '/match/0'],
    [{ match: ['unix:uid=1', 'oidc:sub=x'] }, 'bad_request', '/match/1'],
    [{ match: ['unix:uid=\u0007'] }, 'bad_request', '/match/0'],
    [{ match: Array.from({ length: 33 }, (_, at) => `unix:gid=${at}`) }, 'too_large', '/match'],
    [{ agent: 'nobody' }, 'not_found', '/agent'],
    [{ agent: 'host', kind: 'agent' }, 'not_found', '/agent'],
    [{ source: { node: 'planner' } }, 'not_found', '/node'],
    [{ source: { attestor: 'github' } }, 'not_found', '/attestor'],
    [{ hint: 'two words' }, 'bad_request', '/hint'],
    [{ scopes: ['ä'] }, 'bad_request', '/scopes/0'],
    [{ workflow: '' }, 'bad_request', '/workflow'],
    [{ lifetimeSeconds: 0 }, 'bad_request', '/lifetime_seconds'],
    [{ lifetimeSeconds: 299 }, 'bad_request', '/lifetime_seconds'],
    [{ federatesWith: ['Partner'] }, 'bad_spiffe_id', '/federates_with/0'],
  ];
  for (const [more, want, field] of bad) await assert.rejects(entry(installation, more), code(want, field), field);
  const input = { agent: 'planner', source: { node: 'host' }, match: ['unix:uid=1000'] };
  await assert.rejects(createEntry(caller, input, parts), code('denied'));
  const noTokens: Authorize = (request) =>
    request.action === 'token.create'
      ? { allowed: false, rules: ['no-tokens'], reasons: [], policyVersion: 1 }
      : parts.authorize(request);
  await assert.rejects(createEntry(ADA, input, { ...parts, authorize: noTokens }), code('denied'));
  await assert.rejects(showEntries(caller, {}, {}, parts), code('denied'));
  assert.equal((await installation.database.all('SELECT 1 FROM registration_entry')).length, 0);
  await installation.close();
});
