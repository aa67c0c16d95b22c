import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import {
  ADA,
  ANONYMOUS,
  callerOf,
  createInstallation,
  type Installation,
  letIn,
  newKey,
  register,
} from '../../test/installation.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { CERTIFICATES } from '../ca/index/certificates.ts';
import { beginStop, finishStop } from '../ca/index/unfinished-stop.ts';
import { newBatch } from '../db/batch.ts';
import type { Page, PageRequest } from '../db/cursor.ts';
import { dropOldestPartition } from '../db/partition-purge.ts';
import type { IssuedCertificate } from '../issuance/issued.ts';
import { renewCertificate } from '../issuance/renew.ts';
import { parseTlogProof } from '../merkle/tlog-proof.ts';
import { changeAgent } from '../registry/update.ts';
import { revokeCertificate } from '../revocation/revoke.ts';
import { stopInstance } from '../revocation/stop-instance.ts';
import { certificateList, certificatesAt } from './certificates.ts';
import { certificateCheck } from './index-check.ts';
import type { ReportParts } from './parts.ts';
import { showCertificate } from './show.ts';
import { trace } from './trace.ts';

const code = (wanted: ErrorCode) => (error: unknown) => isWritError(error, wanted);

function partsOf({ issuance }: Installation): ReportParts {
  return { ...issuance, chain: (issuer) => issuance.authority.chain(issuer) };
}

async function renew(installation: Installation, issued: IssuedCertificate, key = newKey()) {
  return renewCertificate(callerOf(issued), { csr: await key.csr() }, installation.issuance);
}

async function all<T>(ask: (page: PageRequest) => Promise<Page<T>>, limit = 3): Promise<T[]> {
  const items: T[] = [];
  for (let page = await ask({ limit }); ; page = await ask({ limit, cursor: page.next! })) {
    items.push(...page.items);
    if (page.next === undefined) return items;
  }
}

function leaves(rows: readonly { readonly leaf: number }[]): number[] {
  return rows.map(({ leaf }) => leaf).sort((a, b) => a - b);
}

async function scene(installation: Installation) {
  for (const agent of ['planner', 'writer']) await register(installation, agent);
  const a = await letIn(installation, { agent: 'planner' });
  installation.advance(600_000);
  const b = await letIn(installation, { agent: 'writer' });
  installation.advance(600_000);
  const a2 = await renew(installation, a);
  installation.advance(600_000);
  await revokeCertificate(ADA, { serial: a.serial, cause: 'key_theft' }, installation.issuance);
  installation.advance(600_000);
  const b2 = await renew(installation, b);
  return { a, b, a2, b2, start: a.issuedAt };
}

onEachEngine('who was valid when, and what there is', async ({ open }) => {
  const installation = await createInstallation(await open(), { rowLimit: 2 });
  const parts = partsOf(installation);
  const { a, b, a2, b2, start } = await scene(installation);
  const minute = 60_000;
  const cases: [after: number, filter: { agent?: string; instance?: string }, want: IssuedCertificate[]][] = [
    [-1, {}, []],
    [0, {}, [a]],
    [10 * minute, {}, [a, b]],
    [25 * minute, {}, [a, b, a2]],
    [30 * minute - 1, {}, [a, b, a2]],
    [30 * minute, {}, [b, a2]],
    [45 * minute, {}, [b, a2, b2]],
    [45 * minute, { agent: 'writer' }, [b, b2]],
    [45 * minute, { instance: a.instance! }, [a2]],
    [45 * minute, { agent: 'writer', instance: a.instance! }, []],
    [70 * minute - 1, { agent: 'writer' }, [b, b2]],
    [70 * minute, { agent: 'writer' }, [b2]],
    [200 * minute, {}, []],
  ];
  for (const [after, filter, want] of cases) {
    const rows = await all((page) => certificatesAt(ADA, { time: start + after, ...filter }, page, parts), 1);
    assert.deepEqual(leaves(rows), leaves(want), JSON.stringify([after / minute, filter]));
  }
  const listed = await all((page) => certificateList(ADA, {}, page, parts), 1);
  assert.deepEqual(
    listed.map(({ leaf }) => leaf),
    leaves([a, b, a2, b2]).reverse(),
  );
  for (const [filter, want] of [
    [{ state: 'revoked' }, [a]],
    [{ state: 'active', agent: 'planner' }, [a2]],
    [{ profile: 'service' }, []],
  ] as const) {
    assert.deepEqual(leaves(await all((page) => certificateList(ADA, filter, page, parts))), leaves(want));
  }

  // A stop that is being carried out counts from its beginning.
  const stop = {
    subject: `instance:${b.instance}`,
    stoppedAt: start + 50 * minute,
    cause: 'cascade',
    stoppedBy: 'x',
  } as const;
  const batch = newBatch();
  beginStop(batch, stop);
  await installation.commit(batch);
  const at = (after: number) => certificatesAt(ADA, { time: start + after * minute, agent: 'writer' }, {}, parts);
  assert.deepEqual([(await at(49)).items.length, (await at(50)).items.length], [2, 0]);
  const done = newBatch();
  finishStop(done, stop.subject);
  await installation.commit(done);
  assert.equal((await at(50)).items.length, 2);
  await installation.close();
});

onEachEngine('what is past retention is not passed over in silence', async ({ open }) => {
  const installation = await createInstallation(await open(), { rowLimit: 2 });
  const parts = partsOf(installation);
  const { a, b, a2, b2, start } = await scene(installation);
  for (let i = 0; i < 4; i++) await letIn(installation, { agent: 'planner' });
  installation.advance(10 * 3_600_000);
  const dropped = await dropOldestPartition(installation.database, CERTIFICATES.name, installation.clock.now());
  assert.equal(dropped?.number, 1);
  await assert.rejects(certificatesAt(ADA, { time: start }, {}, parts), code('not_found'));
  assert.ok((await certificatesAt(ADA, { time: dropped!.keepUntil }, {}, parts)).items.length > 0);
  await assert.rejects(showCertificate(ADA, a.serial, parts), code('not_found'));
  const listed = await all((page) => certificateList(ADA, {}, page, parts));
  assert.ok(listed.length < 8 && listed.length > 0);
  const kept = [a, b, a2, b2].filter(({ leaf }) => listed.some((row) => row.leaf === leaf));
  for (const { serial } of kept) await showCertificate(ADA, serial, parts);

  const findings: string[] = [];
  const check = certificateCheck(installation.database);
  await check.entries(await installation.events(), (where, what) => void findings.push(`${where} ${what}`));
  await check.finish((where, what) => void findings.push(`${where} ${what}`));
  assert.deepEqual(findings, [], 'rows past retention are not missed');
  await installation.close();
});

onEachEngine('who may ask what', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = partsOf(installation);
  const { a, b, start } = await scene(installation);
  const own = await certificatesAt(callerOf(a), { time: start, agent: 'planner' }, {}, parts);
  assert.equal(own.items.length, 1);
  assert.equal((await showCertificate(callerOf(a), a.serial, parts)).row.leaf, a.leaf);
  for (const ask of [
    () => certificatesAt(callerOf(a), { time: start }, {}, parts),
    () => certificatesAt(callerOf(a), { time: start, agent: 'writer' }, {}, parts),
    () => certificatesAt(callerOf(a), { time: start, instance: b.instance! }, {}, parts),
    () => certificateList(callerOf(a), { agent: 'nobody' }, {}, parts),
    () => showCertificate(callerOf(a), b.serial, parts),
    () => showCertificate(callerOf(a), new Uint8Array(20), parts),
    () => trace(callerOf(a), { serial: b.serial }, {}, parts),
    () => certificateList(ANONYMOUS, {}, {}, parts),
  ]) {
    await assert.rejects(ask, code('denied'));
  }
  await assert.rejects(showCertificate(ADA, new Uint8Array(20), parts), code('not_found'));
  const { next } = await certificateList(ADA, {}, { limit: 1 }, parts);
  const filtered = { agent: 'planner' };
  await assert.rejects(certificateList(ADA, filtered, { cursor: next! }, parts), code('bad_cursor'));
  await assert.rejects(certificatesAt(ADA, { time: start }, { cursor: next! }, parts), code('bad_cursor'));
  await installation.close();
});

onEachEngine('a trace tells the whole story of one identity, in order, with proofs', async ({ open }) => {
  const installation = await createInstallation(await open(), { rowLimit: 3 });
  const parts = partsOf(installation);
  const { issuance, registry } = installation;
  const { b } = await scene(installation);
  const key = newKey();
  const c = await letIn(installation, { agent: 'planner', uses: 5 }, key);
  let last = c;
  for (let i = 0; i < 7; i++) {
    installation.advance(60_000);
    last = await renew(installation, last);
    if (i === 3) await changeAgent(ADA, { name: 'planner', change: { purpose: 'something else' } }, registry);
  }
  await assert.rejects(renew(installation, b, key), code('key_in_use'));
  await stopInstance(ADA, { instance: c.instance!, cause: 'task_completed' }, issuance);
  for (const limit of [1, 2, 4, 50]) {
    const story = await all((page) => trace(ADA, { serial: last.serial }, page, parts), limit);
    assert.deepEqual(
      story.map(({ type }) => type),
      [
        'agent.registered',
        'token.created',
        'token.used',
        'instance.enrolled',
        'certificate.issued',
        ...Array(4).fill('certificate.renewed'),
        'agent.updated',
        ...Array(3).fill('certificate.renewed'),
        'instance.stopped',
        ...Array(8).fill('certificate.revoked'),
      ],
      `in pages of ${limit}`,
    );
    assert.deepEqual(
      story.map(({ leaf }) => leaf),
      leaves(story),
    );
  }
  const other = await all((page) => trace(ADA, { serial: b.serial }, page, parts));
  assert.equal(other.at(-1)?.type, 'key.reuse_refused');
  const [first] = (await trace(ADA, { serial: last.serial, receipts: true }, { limit: 1 }, parts)).items;
  const proof = parseTlogProof(first!.receipt!);
  assert.equal(proof.index, first?.leaf);
  // So that nobody makes the server busy for long with one request.
  for (let i = 0; i < 60; i++) await renew(installation, b);
  const page = await trace(ADA, { serial: b.serial, receipts: true }, { limit: 200 }, parts);
  assert.equal(page.items.length, 50);
  assert.ok(page.next !== undefined && page.items.every(({ receipt }) => receipt !== undefined));
  await installation.close();
});

onEachEngine('the index is held against the log', async ({ open }) => {
  const installation = await createInstallation(await open(), { rowLimit: 2 });
  const { database } = installation;
  const { a, b } = await scene(installation);
  const findings = async (): Promise<string[]> => {
    const found: string[] = [];
    const report = (where: string, what: string) => void found.push(`${where} ${what}`);
    const check = certificateCheck(database);
    await check.entries(await installation.events(), report);
    await check.finish(report);
    return found;
  };
  assert.deepEqual(await findings(), []);
  const planted: [sql: string, finding: RegExp][] = [
    ["UPDATE {p} SET name = 'mallory' WHERE serial = ?", /entry \d+ issues a certificate whose row has another name/],
    ['UPDATE {p} SET expires_at = expires_at + 1 WHERE serial = ?', /another expiresAt/],
    ['UPDATE {p} SET spki_hash = serial WHERE serial = ?', /another key/],
    ['UPDATE {p} SET revoked_at = NULL WHERE serial = ?', /revokes a certificate whose row says otherwise/],
    ["UPDATE {p} SET cause = 'cascade' WHERE serial = ?", /revokes a certificate whose row says otherwise/],
    ['UPDATE {p} SET leaf = leaf + 1000 WHERE serial = ?', /another leaf/],
    ['DELETE FROM {p} WHERE serial = ?', /issues a certificate that has no row/],
    ["UPDATE {p} SET shard = 'other' WHERE serial = ?", /another shard/],
    ['UPDATE {p} SET revoked_at = revoked_at + 1 WHERE serial = ?', /lacks 1 certificates that are revoked/],
  ];
  for (const [sql, finding] of planted) {
    const before = await database.all('SELECT * FROM certificate_p1');
    await database.transaction((tx) => tx.run(sql.replace('{p}', 'certificate_p1'), [a.serial]));
    const found = await findings();
    assert.ok(
      found.some((line) => finding.test(line)),
      `${sql}: ${found.join('; ')}`,
    );
    await database.transaction(async (tx) => {
      await tx.run('DELETE FROM certificate_p1');
      for (const row of before) {
        const columns = Object.keys(row);
        const holes = columns.map(() => '?').join(', ');
        await tx.run(`INSERT INTO certificate_p1 (${columns.join(', ')}) VALUES (${holes})`, Object.values(row));
      }
    });
  }
  assert.deepEqual(await findings(), []);
  const [listed] = await database.all('SELECT * FROM revoked WHERE serial = ?', [a.serial]);
  assert.ok(listed);
  await database.transaction((tx) => tx.run('DELETE FROM revoked WHERE serial = ?', [a.serial]));
  assert.deepEqual(await findings(), ['revoked lacks 1 certificates that are revoked and have not expired']);
  await database.transaction((tx) => tx.run('UPDATE certificate_p1 SET revoked_at = 1 WHERE serial = ?', [b.serial]));
  assert.match((await findings()).join(), /has 2 revoked rows where the entries ask for 1/);
  await installation.close();
});
