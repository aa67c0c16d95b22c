import assert from 'node:assert/strict';
import { onEachEngine } from '../../../test/engines.ts';
import { ADA, callerOf, letIn, newKey, register } from '../../../test/installation.ts';
import { formatSerial } from '../../ca/certificate/serial.ts';
import { type DomainAuthority, domainAuthorities } from '../../ca/domain/domain.ts';
import { domainLists } from '../../ca/domain/list.ts';
import { ROOT_AHEAD_MS } from '../../ca/domain/rotation.ts';
import { newBatch } from '../../db/batch.ts';
import { replayRevocations } from '../../revocation/replay.ts';
import type { Certificate } from '../../x509/certificate.ts';
import { parseCrl } from '../../x509/crl.ts';
import { RFC5280 } from '../../x509/path/policy.ts';
import { validatePath } from '../../x509/path/validate.ts';
import { OTHER, PROFILE, refusedAs, request, setUp } from '../testdata/domain-world.ts';
import { closeDomain } from './close.ts';
import { createDomain } from './create.ts';
import { type DomainParts, showDomain } from './parts.ts';
import { revokeDomainAuthority } from './revoke.ts';
import { keepDomains, rotateDomain } from './rotate.ts';
import { signDomainAuthority } from './sign.ts';

const DAY = 86_400_000;
const YEAR = 365 * DAY;

/** What the bundle holds, and its sequence. */
async function published(parts: DomainParts): Promise<{ readonly roots: Certificate[]; readonly sequence: number }> {
  const { domain, authorities } = await showDomain(ADA, OTHER, { ...parts, authorize: () => ALLOWED });
  const roots = authorities.filter(({ kind, state }) => kind === 'root' && state !== 'ended');
  return { roots: roots.map(({ certificate }) => certificate), sequence: domain.sequence };
}

const ALLOWED = { allowed: true, rules: [], policyVersion: 1 } as const;

async function sign(parts: DomainParts, lifetime?: number): ReturnType<typeof signDomainAuthority> {
  const { csr } = await request();
  return signDomainAuthority(ADA, { trustDomain: OTHER, csr, ...(lifetime === undefined ? {} : { lifetime }) }, parts);
}

type Signed = Awaited<ReturnType<typeof sign>>;

function isValid({ authority, above }: Signed, roots: readonly Certificate[], at: number): boolean {
  const intermediates = above.filter(({ kind }) => kind === 'intermediate').map(({ certificate }) => certificate);
  return validatePath({ leaf: authority.certificate, intermediates, anchors: roots, at, policy: RFC5280 }).valid;
}

const serialOf = ({ serial }: Certificate): string => formatSerial(serial);

async function listOf(id: string, { reader }: DomainParts): Promise<string[]> {
  const row = await reader.get('SELECT crl FROM authority_crl WHERE authority = ?', [id]);
  return parseCrl(row!['crl'] as Uint8Array).entries.map(({ serial }) => formatSerial(serial));
}

onEachEngine(
  'for twenty years something signs, and whoever has the bundle of a week ago believes it',
  async ({ open }) => {
    const { installation, parts } = await setUp(open);
    const { clock } = installation;
    await createDomain(ADA, { trustDomain: OTHER, profile: { ...PROFILE, most: 1000 } }, parts);
    let before = await published(parts);
    const steps = new Set<string>();
    const seen = new Set<string>();
    for (const until = clock.now() + 21 * YEAR; clock.now() < until; ) {
      // Somebody asked for the bundle now, and does not ask again for almost a week.
      installation.advance(54 * DAY);
      for (const step of await keepDomains(parts)) steps.add(step);
      before = await published(parts);
      const last = await sign(parts);
      installation.advance(6 * DAY);
      for (const step of await keepDomains(parts)) steps.add(step);
      const now = await published(parts);
      assert.ok(now.sequence >= before.sequence);
      const hexes = ({ roots }: typeof now): string => roots.map(({ serial }) => formatSerial(serial)).join();
      assert.equal(now.sequence === before.sequence, hexes(now) === hexes(before), 'each number stands for one set');
      const signed = await sign(parts);
      assert.ok(isValid(signed, before.roots, clock.now()), 'by the bundle of six days ago');
      assert.ok(isValid(signed, now.roots, clock.now()));
      assert.ok(signed.authority.certificate.notAfter - clock.now() > 6.9 * DAY, 'it has its whole life');
      assert.ok(isValid(last, now.roots, clock.now()), 'what was signed before goes on');
      for (const list of await domainLists(parts.reader, await domainAuthorities(parts.reader, OTHER, 0))) {
        assert.ok(list.nextUpdate > clock.now(), 'each list is good');
      }
      for (const root of now.roots) seen.add(formatSerial(root.serial));
      before = now;
    }
    assert.ok(seen.size >= 3, 'several roots came');
    assert.ok(before.roots.length <= 2, 'and went');
    assert.deepEqual([...steps].sort(), ['end', 'publish-root', 'replace-root', 'replace-signing', 'sign-list']);
    await installation.close();
  },
);

onEachEngine('of processes that keep a domain at once one does each thing', async ({ open }) => {
  const { installation, parts } = await setUp(open);
  await createDomain(ADA, { trustDomain: OTHER, profile: PROFILE }, parts);
  installation.advance(3 * YEAR);
  await Promise.all([keepDomains(parts), keepDomains(parts), keepDomains(parts)]);
  const active = (await domainAuthorities(parts.reader, OTHER, 0)).filter(({ state }) => state === 'active');
  assert.deepEqual(active.map(({ kind }) => kind).sort(), ['intermediate', 'root']);
  await installation.close();
});

onEachEngine('another root is published a week ahead; a stolen one leaves at once', async ({ open }) => {
  const { installation, parts } = await setUp(open);
  const { clock } = installation;
  await createDomain(ADA, { trustDomain: OTHER, profile: PROFILE }, parts);
  const first = await published(parts);
  await rotateDomain(ADA, { trustDomain: OTHER, what: 'root' }, parts);
  const ahead = await published(parts);
  assert.equal(ahead.roots.length, 2);
  assert.ok(ahead.sequence > first.sequence);
  const between = await sign(parts);
  assert.ok(isValid(between, first.roots, clock.now()), 'the present one signs on');
  await assert.rejects(rotateDomain(ADA, { trustDomain: OTHER, what: 'root' }, parts), refusedAs('conflict'));
  installation.advance(ROOT_AHEAD_MS - 1000);
  assert.deepEqual(await keepDomains(parts), []);
  await sign(parts);
  installation.advance(2000);
  assert.ok((await keepDomains(parts)).includes('replace-root'));
  const after = await sign(parts, 600);
  assert.ok(!isValid(after, first.roots, clock.now()) && isValid(after, ahead.roots, clock.now()));
  assert.equal((await published(parts)).sequence, ahead.sequence, 'the same set');
  // The first one leaves when what it signed has expired.
  installation.advance(PROFILE.mostSeconds * 1000 + 1000);
  assert.ok((await keepDomains(parts)).includes('end'));
  const left = await published(parts);
  const gone = formatSerial(first.roots[0]!.serial);
  assert.deepEqual(
    left.roots.map(serialOf),
    ahead.roots.map(serialOf).filter((serial) => serial !== gone),
  );

  const stolen = await sign(parts);
  await rotateDomain(ADA, { trustDomain: OTHER, what: 'root_at_once' }, parts);
  const fresh = await published(parts);
  assert.equal(fresh.roots.length, 1);
  assert.ok(fresh.sequence > left.sequence);
  assert.ok(!isValid(stolen, fresh.roots, clock.now()), 'nothing that it signed is believed');
  assert.ok(isValid(await sign(parts), fresh.roots, clock.now()));
  const keys = await installation.database.all("SELECT id FROM sealed_key WHERE purpose = 'domain-authority'");
  assert.equal(keys.length, 2, 'its keys are deleted');
  await installation.close();
});

onEachEngine(
  'a subordinate authority is revoked on the record, the list, the feed; its key never comes back',
  async ({ open }) => {
    const { installation, parts } = await setUp(open);
    const { database } = installation;
    await createDomain(ADA, { trustDomain: OTHER, profile: { ...PROFILE, most: 1 } }, parts);
    const { csr } = await request();
    const { authority, above } = await signDomainAuthority(ADA, { trustDomain: OTHER, csr }, parts);
    const signing = above.find(({ kind }) => kind === 'intermediate')!;
    assert.deepEqual(await listOf(signing.id, parts), []);
    const serial = formatSerial(authority.certificate.serial);
    const target = { trustDomain: OTHER, authority: authority.id };
    await assert.rejects(revokeDomainAuthority(ADA, target, parts), refusedAs('bad_request'), 'without a cause');
    const revoked = await revokeDomainAuthority(ADA, { ...target, cause: 'key_theft' }, parts);
    assert.deepEqual(await listOf(signing.id, parts), [serial], 'in the commit itself');
    const again = await revokeDomainAuthority(ADA, { ...target, cause: 'decommissioned' }, parts);
    assert.deepEqual(again.revoked, revoked.revoked, 'the first revocation counts');
    const row = await database.get('SELECT type, subjects, leaf FROM revocation_feed');
    assert.equal(row!['type'], 'domain.revoked');
    const told = JSON.parse(row!['subjects'] as string) as string[];
    assert.equal(told[0], `serial:${serial}`);
    assert.match(told[1]!, /^issuer:[0-9a-f]{40}$/);
    assert.equal(told.length, 2);
    const anchored = await database.get('SELECT 1 AS found FROM ledger_anchored WHERE first_leaf = ?', [
      row!['leaf'] as number,
    ]);
    assert.notEqual(anchored, undefined);
    await assert.rejects(signDomainAuthority(ADA, { trustDomain: OTHER, csr }, parts), refusedAs('key_in_use'));
    await sign(parts);
    await assert.rejects(sign(parts), refusedAs('conflict'), 'there is room for one, and no more');
    const kept = await listOf(signing.id, parts);
    installation.advance(16 * DAY);
    await keepDomains(parts);
    assert.deepEqual([kept, await listOf(signing.id, parts)], [[serial], []], 'what expired leaves the list');
    await installation.close();
  },
);

onEachEngine(
  'the authority that signs is revoked by its root, and another follows it in that commit',
  async ({ open }) => {
    const { installation, parts } = await setUp(open);
    const { clock } = installation;
    const made = await createDomain(ADA, { trustDomain: OTHER, profile: PROFILE }, parts);
    const [root, signing] = made.authorities as [DomainAuthority, DomainAuthority];
    const before = await sign(parts);
    const target = { trustDomain: OTHER, cause: 'authority_compromise' };
    await assert.rejects(
      revokeDomainAuthority(ADA, { ...target, authority: root.id }, parts),
      refusedAs('bad_request'),
    );
    await assert.rejects(revokeDomainAuthority(ADA, { ...target, authority: 'nobody' }, parts), refusedAs('not_found'));
    await revokeDomainAuthority(ADA, { ...target, authority: signing.id }, parts);
    assert.deepEqual(await listOf(root.id, parts), [formatSerial(signing.certificate.serial)]);
    const after = await sign(parts);
    assert.notEqual(after.authority.issuer, before.authority.issuer);
    assert.ok(isValid(after, [root.certificate], clock.now()));
    await keepDomains(parts);
    assert.deepEqual(await listOf(after.authority.issuer!, parts), [], 'with a list of its own');
    await closeDomain(ADA, OTHER, parts);
    const lists = await installation.database.all('SELECT next_update FROM authority_crl WHERE authority IN (?, ?)', [
      ...[root.id, after.authority.issuer!],
    ]);
    for (const { next_update: until } of lists) {
      assert.ok((until as number) > after.authority.certificate.notAfter, 'the last lists outlive what they are about');
    }
    await assert.rejects(rotateDomain(ADA, { trustDomain: OTHER, what: 'signing' }, parts), refusedAs('inactive'));
    await installation.close();
  },
);

onEachEngine('what was revoked or given up stays so in an older backup', async ({ open }) => {
  const { installation, parts } = await setUp(open);
  const { database, commit } = installation;
  const made = await createDomain(ADA, { trustDomain: OTHER, profile: PROFILE }, parts);
  const known = await sign(parts);
  const backup = await database.all('SELECT * FROM domain_authority');
  const keys = await database.all("SELECT * FROM sealed_key WHERE purpose = 'domain-authority'");
  const unknown = await sign(parts);
  for (const { authority } of [known, unknown]) {
    await revokeDomainAuthority(ADA, { trustDomain: OTHER, authority: authority.id, cause: 'key_theft' }, parts);
  }
  await rotateDomain(ADA, { trustDomain: OTHER, what: 'root_at_once' }, parts);
  const { sequence: seen } = await published(parts);
  const since = (await installation.events()).filter(
    ({ type }) => type === 'domain.revoked' || type === 'domain.ended',
  );

  const restore = newBatch();
  restore.bumpsEpoch = true;
  for (const sql of ['DELETE FROM domain_authority', "DELETE FROM sealed_key WHERE purpose = 'domain-authority'"]) {
    restore.writes.push({ sql, params: [] });
  }
  for (const [table, rows] of [
    ['domain_authority', backup],
    ['sealed_key', keys],
  ] as const) {
    for (const row of rows) {
      const columns = Object.keys(row);
      restore.writes.push({
        sql: `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`,
        params: Object.values(row),
      });
    }
  }
  restore.writes.push({ sql: 'UPDATE domain SET sequence = ?', params: [made.domain.sequence] });
  restore.writes.push(...(await replayRevocations(database)(since)).writes);
  await commit(restore);

  const authorities = await domainAuthorities(database, OTHER, 0);
  for (const { authority } of [known, unknown]) {
    const found = authorities.find(({ id }) => id === authority.id);
    assert.equal(found?.revoked?.cause, 'key_theft');
    assert.deepEqual(found?.certificate.raw, authority.certificate.raw);
  }
  assert.deepEqual(await database.all("SELECT id FROM sealed_key WHERE purpose = 'domain-authority'"), []);
  assert.ok((await keepDomains(parts)).includes('replace-root'), 'another one follows by itself');
  const fresh = await published(parts);
  assert.ok(fresh.sequence > seen);
  assert.ok(fresh.roots.every(({ raw }) => !made.authorities.some(({ certificate }) => certificate.raw === raw)));
  assert.ok(isValid(await sign(parts), fresh.roots, installation.clock.now()));
  await installation.close();
});

onEachEngine('two officers rotate, one revokes, and no agent does either', async ({ open }) => {
  const { installation, parts } = await setUp(open);
  const { authorize } = installation.policy;
  await createDomain(ADA, { trustDomain: OTHER, profile: PROFILE }, parts);
  const { authority } = await sign(parts);
  const judged = { ...parts, authorize };
  await register(installation, 'planner');
  const agent = callerOf(await letIn(installation, { agent: 'planner' }, newKey()));
  const target = { trustDomain: OTHER, authority: authority.id, cause: 'key_theft' };
  for (const what of ['signing', 'root', 'root_at_once'] as const) {
    await assert.rejects(rotateDomain(ADA, { trustDomain: OTHER, what }, judged), refusedAs('needs_approval'));
    await assert.rejects(rotateDomain(agent, { trustDomain: OTHER, what }, judged), refusedAs('denied'));
  }
  await assert.rejects(revokeDomainAuthority(agent, target, judged), refusedAs('denied'));
  assert.equal((await revokeDomainAuthority(ADA, target, judged)).state, 'ended');
  await installation.close();
});
