import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { onEachEngine } from '../../../test/engines.ts';
import { RowWriter } from '../../../test/rows.ts';
import { manualClock } from '../../base/clock.ts';
import { type Batch, newBatch } from '../../db/batch.ts';
import type { Database, Reader, SqlValue } from '../../db/database.ts';
import { migrate } from '../../db/migrate.ts';
import { PartitionMap } from '../../db/partition-map.ts';
import { dropOldestPartition } from '../../db/partition-purge.ts';
import { formatSerial, makeSerial } from '../certificate/serial.ts';
import {
  CERTIFICATES,
  type CertificateKind,
  type CertificateRow,
  insertCertificate,
  type NewCertificate,
  readCertificate,
  revokeCertificateRow,
} from './certificates.ts';
import { type CertificateFilter, certificatesValidAt, listCertificates } from './pages.ts';
import type { CertificatePage } from './walk.ts';

const START = 1_800_000_000_000;
const MINUTE = 60_000;

interface Made extends NewCertificate {
  revokedAt?: number;
}

function make(issuedAt: number, lifetime: number, more: Partial<NewCertificate> = {}): Made {
  return {
    serial: makeSerial(issuedAt, lifetime, randomBytes),
    kind: 'agent',
    name: 'planner',
    instance: 'one',
    profile: 'agent',
    issuedAt,
    expiresAt: issuedAt + lifetime * 1000,
    spkiHash: randomBytes(32),
    issuer: 'authority',
    ...more,
  };
}

function issue(...certificates: Made[]): Batch {
  const batch = newBatch();
  certificates.forEach((certificate, index) => {
    insertCertificate(batch, certificate, index);
    batch.events.push({ type: 'certificate.issued', subjects: [], body: {} });
  });
  return batch;
}

async function setUp(open: () => Promise<Database>, rowLimit: number) {
  const database = await open();
  await migrate(database);
  const clock = manualClock(START);
  const writer = new RowWriter(database, [{ ...CERTIFICATES, rowLimit }], clock);
  return { database, clock, writer, map: new PartitionMap(database, CERTIFICATES.name) };
}

async function all(page: (from?: CertificatePage['next']) => Promise<CertificatePage>): Promise<CertificateRow[]> {
  const rows: CertificateRow[] = [];
  let from: CertificatePage['next'];
  for (let pages = 0; pages < 1000; pages++) {
    const { rows: found, next } = await page(from);
    rows.push(...found);
    if (next === undefined) return rows;
    from = next;
  }
  throw new Error('the listing does not end');
}

function names(certificates: readonly { readonly serial: Uint8Array }[]): string[] {
  return certificates.map(({ serial }) => formatSerial(serial)).sort();
}

onEachEngine('a row comes back as it went in, found by its serial number alone', async ({ open }) => {
  const { writer, map, clock } = await setUp(open, 3);
  const made: Made[] = [];
  for (let i = 0; i < 10; i++) {
    clock.advance(MINUTE);
    const instance = i % 2 === 0 ? { instance: `instance-${i}` } : { kind: 'operator' as const, instance: undefined };
    const { instance: id, ...more } = { ...instance, name: `name-${i}` };
    const certificate = make(clock.now(), 3600 + i, { ...more, ...(id === undefined ? {} : { instance: id }) });
    made.push(certificate);
    await writer.commit(issue(certificate));
  }
  for (const [leaf, { ...certificate }] of made.entries()) {
    const row = await readCertificate(map, certificate.serial);
    assert.deepEqual({ ...row, spkiHash: Buffer.from(row!.spkiHash) }, { leaf, ...certificate, serial: row?.serial });
    assert.deepEqual(Buffer.from(row!.serial), Buffer.from(certificate.serial));
  }
  assert.equal(await readCertificate(map, makeSerial(clock.now(), 3600, randomBytes)), undefined);
  assert.equal(await readCertificate(map, new Uint8Array(20)), undefined);
  assert.equal(await readCertificate(map, new Uint8Array(3)), undefined);
});

onEachEngine('the one before is what the commit finds', async ({ open }) => {
  const { writer, map, database } = await setUp(open, 100);
  await database.transaction((tx) => tx.run('CREATE TABLE latest (id TEXT, serial TEXT)'));
  const previous = {
    subquery: '(SELECT serial FROM certificate_p1 WHERE name = ? ORDER BY leaf DESC LIMIT 1)',
    param: 'planner',
  };
  const [first, second] = [make(START, 60), make(START, 60, { previous })];
  await writer.commit(issue(first), issue(second));
  assert.equal((await readCertificate(map, first.serial))?.previous, undefined);
  assert.deepEqual((await readCertificate(map, second.serial))?.previous, new Uint8Array(first.serial));
});

onEachEngine('revoked is for ever, and the first time and cause stay', async ({ open }) => {
  const { writer, map, clock } = await setUp(open, 3);
  const made: Made[] = [];
  for (let i = 0; i < 8; i++) {
    clock.advance(MINUTE);
    made.push(make(clock.now(), 3600));
    await writer.commit(issue(made[i]!));
  }
  const row = (await readCertificate(map, made[1]!.serial))!;
  const [one, two] = [newBatch(), newBatch()];
  await revokeCertificateRow(map, one, row, { at: clock.now(), cause: 'key_theft', caller: 'a' });
  await revokeCertificateRow(map, two, row, { at: clock.now() + 1, cause: 'decommissioned', caller: 'b' });
  const commits = await writer.commit(one, two);
  assert.deepEqual(
    commits.map((commit) => (commit.committed ? 'done' : commit.refusal)),
    ['done', 'conflict'],
  );
  const after = await readCertificate(map, row.serial);
  assert.deepEqual(after?.revoked, { at: clock.now(), reason: 1, cause: 'key_theft' });
  assert.equal((await readCertificate(map, made[2]!.serial))?.revoked, undefined);
});

function validAt({ issuedAt, expiresAt, revokedAt }: Made, time: number): boolean {
  return issuedAt <= time && time < expiresAt && !(revokedAt !== undefined && revokedAt <= time);
}

const AGENTS = ['planner', 'writer', 'rare'];

const step = fc.record({
  wait: fc.nat(30 * MINUTE),
  lifetime: fc.constantFrom(300, 300, 899, 3600, 3600, 3601, 21_600, 86_400, 2_592_000),
  agent: fc.constantFrom(0, 0, 0, 1, 1, 2),
  copy: fc.nat(2),
  kind: fc.constantFrom<CertificateKind>('agent', 'agent', 'agent', 'service', 'operator', 'server'),
  revoke: fc.option(fc.nat(20), { nil: undefined }),
});

onEachEngine('every question gets the answer that a walk over all certificates gives', async ({ open }) => {
  const { writer, map, clock, database } = await setUp(open, 7);
  const made: Made[] = [];
  const steps = fc.sample(step, { numRuns: 120, seed: 7 });
  for (const { wait, lifetime, agent, copy, kind, revoke } of steps) {
    clock.advance(wait);
    const name = AGENTS[agent]!;
    const holder =
      kind === 'agent' || kind === 'service'
        ? { kind, name, instance: `${name}-${copy}` }
        : { kind, name, instance: '' };
    const { instance, ...rest } = holder;
    const certificate = make(clock.now(), lifetime, { ...rest, instance, profile: kind });
    made.push(certificate);
    await writer.commit(issue(certificate));
    const victim = revoke === undefined ? undefined : made.at(-1 - revoke);
    if (victim !== undefined && victim.revokedAt === undefined) {
      victim.revokedAt = clock.now();
      const batch = newBatch();
      const row = (await readCertificate(map, victim.serial))!;
      await revokeCertificateRow(map, batch, row, { at: clock.now(), cause: 'key_theft', caller: 'a' });
      await writer.commit(batch);
    }
  }
  const end = clock.now();
  const held = (certificate: Made): boolean => certificate.instance !== '';
  const question = fc.record({
    time: fc.integer({ min: START - MINUTE, max: end + 90_000_000 }),
    later: fc.nat(10 * 3_600_000),
    limit: fc.integer({ min: 1, max: 50 }),
    agent: fc.option(fc.constantFrom(...AGENTS, 'nobody'), { nil: undefined }),
    instance: fc.option(fc.constantFrom('planner-0', 'writer-1', 'rare-2', ''), { nil: undefined }),
    operator: fc.option(fc.constantFrom('planner', 'rare'), { nil: undefined }),
    profile: fc.option(fc.constantFrom('agent', 'server'), { nil: undefined }),
    state: fc.constantFrom(undefined, undefined, 'active' as const, 'expired' as const, 'revoked' as const),
    ranged: fc.boolean(),
  });
  const ask = async (q: typeof question extends fc.Arbitrary<infer T> ? T : never) => {
    const { time, limit, agent, instance, operator, profile, state } = q;
    const matches = (c: Made): boolean =>
      (agent === undefined || (c.name === agent && held(c))) &&
      (instance === undefined || (c.instance === instance && held(c)));
    const narrow = { ...(agent === undefined ? {} : { agent }), ...(instance === undefined ? {} : { instance }) };
    const valid = await all((from) => certificatesValidAt(map, { time, ...narrow }, limit, from));
    assert.deepEqual(names(valid), names(made.filter((c) => matches(c) && validAt(c, time))));

    const filter: CertificateFilter = {
      ...narrow,
      ...(operator === undefined ? {} : { operator }),
      ...(profile === undefined ? {} : { profile }),
      ...(state === undefined ? {} : { state }),
      ...(q.ranged ? { since: time, before: time + q.later } : {}),
    };
    const listed = await all((from) => listCertificates(map, filter, time, limit, from));
    const expected = made.filter(
      (c) =>
        matches(c) &&
        (operator === undefined || (c.kind === 'operator' && c.name === operator)) &&
        (profile === undefined || c.profile === profile) &&
        (!q.ranged || (c.issuedAt >= time && c.issuedAt < time + q.later)) &&
        (state === undefined ||
          (state === 'revoked'
            ? c.revokedAt !== undefined
            : c.revokedAt === undefined && (state === 'active') === c.expiresAt > time)),
    );
    assert.deepEqual(names(listed), names(expected));
  };
  await fc.assert(fc.asyncProperty(question, ask), { numRuns: 150 });

  // What is past retention goes; as long as an instant is answered at all, the answer is whole.
  let dropped = 0;
  const before = START + 2_592_000_000 + Math.floor((end - START) / 2);
  while ((await dropOldestPartition(database, CERTIFICATES.name, before)) !== undefined) dropped++;
  assert.ok(dropped > 2);
  const whole = await map.completeSince();
  const later = fc.record({
    time: fc.integer({ min: whole, max: end + 2_592_000_000 }),
    limit: fc.integer({ min: 1, max: 9 }),
  });
  await fc.assert(
    fc.asyncProperty(later, async ({ time, limit }) => {
      const valid = await all((from) => certificatesValidAt(map, { time }, limit, from));
      assert.deepEqual(names(valid), names(made.filter((c) => validAt(c, time))));
    }),
    { numRuns: 60 },
  );
});

onEachEngine('a page goes on where the one before ended, though partitions were begun meanwhile', async ({ open }) => {
  const { writer, map, clock } = await setUp(open, 12);
  for (const narrow of [{}, { agent: 'planner' }]) {
    clock.advance(200 * MINUTE);
    const time = clock.now() + 3 * MINUTE;
    const made = [300, 300, 3600, 86_400, 300, 3600, 3600].map((lifetime) => make(clock.now(), lifetime));
    await writer.commit(issue(...made));
    const found: CertificateRow[] = [];
    let from: CertificatePage['next'];
    do {
      const page = await certificatesValidAt(map, { time, ...narrow }, 2, from);
      found.push(...page.rows);
      from = page.next;
      clock.advance(MINUTE);
      await writer.commit(issue(...Array.from({ length: 5 }, () => make(clock.now(), 300, { name: 'other' }))));
    } while (from !== undefined);
    const asked = new Set(names(made));
    assert.deepEqual(
      names(found).filter((name) => asked.has(name)),
      names(made),
    );
    assert.equal(new Set(names(found)).size, found.length, 'none comes twice');
  }
});

onEachEngine('of a partition that goes on after the instant, only what is alive then is read', async ({ open }) => {
  const { writer, map, clock, database } = await setUp(open, 100_000);
  const [first, second] = [clock.now(), clock.now() + 10 * 60 * MINUTE];
  for (let minute = 0; minute < 1200; minute++) {
    clock.advance(MINUTE);
    const lives = [300, 3600, ...(minute % 400 === 0 ? [86_400, 2_592_000] : [])];
    await writer.commit(issue(...lives.map((lifetime) => make(clock.now(), lifetime))));
  }
  const statements: [sql: string, params: readonly SqlValue[]][] = [];
  const watched: Reader = {
    all: (sql, params) => {
      if (sql.includes('certificate_p1')) statements.push([sql, params ?? []]);
      return database.all(sql, params);
    },
    get: (sql, params) => database.get(sql, params),
  };
  const watchedMap = new PartitionMap(watched, CERTIFICATES.name);
  assert.equal((await certificatesValidAt(map, { time: first + MINUTE }, 50)).rows.length, 4);
  assert.equal((await certificatesValidAt(watchedMap, { time: second }, 200)).rows.length, 5 + 60 + 4);
  let read = 0;
  for (const [sql, params] of statements) {
    const [condition] = /WHERE .*(?= ORDER BY)/.exec(sql)!;
    const range = condition.replace(/expires_at > \?/, 'CAST(? AS BIGINT) > 0');
    read += Number((await database.get(`SELECT COUNT(*) AS n FROM certificate_p1 ${range}`, params))!['n']);
  }
  // Of each class what was issued within its bound: 15 minutes for those that live 5.
  assert.equal(read, 15 + 60 + 4);
  if (database.engine === 'postgres') await database.transaction((tx) => tx.run('ANALYZE certificate_p1'));
  const explain = database.engine === 'sqlite' ? 'EXPLAIN QUERY PLAN' : 'EXPLAIN';
  for (const [sql, params] of statements) {
    const plan = JSON.stringify(await database.all(`${explain} ${sql}`, params));
    assert.match(plan, /certificate_p1_lifetime/);
  }
});

onEachEngine('a list without filters is in the order of issue, newest first', async ({ open }) => {
  const { writer, map, clock } = await setUp(open, 4);
  const made: Made[] = [];
  for (let i = 0; i < 15; i++) {
    clock.advance(MINUTE);
    made.push(make(clock.now(), i % 3 === 0 ? 86_400 : 300));
    await writer.commit(issue(made[i]!));
  }
  const listed = await all((from) => listCertificates(map, {}, clock.now(), 2, from));
  assert.deepEqual(
    listed.map(({ leaf }) => leaf),
    Array.from({ length: 15 }, (_, i) => 14 - i),
  );
});

onEachEngine('what one page reads is bounded, however rare the rows are', async ({ open }) => {
  const { writer, map, clock, database } = await setUp(open, 1);
  await writer.commit(issue(make(clock.now(), 300, { name: 'rare', instance: 'rare-1' })));
  for (let i = 0; i < 150; i++) {
    clock.advance(MINUTE);
    await writer.commit(issue(make(clock.now(), 300)));
  }
  const { n } = (await database.get('SELECT COUNT(*) AS n FROM partition'))!;
  assert.ok((n as number) > 64);
  const first = await listCertificates(map, { agent: 'rare' }, clock.now(), 10);
  assert.deepEqual([first.rows.length, first.next === undefined], [0, false]);
  const second = await listCertificates(map, { agent: 'rare' }, clock.now(), 10, first.next);
  assert.deepEqual([second.rows.length, second.next], [1, undefined]);
});
