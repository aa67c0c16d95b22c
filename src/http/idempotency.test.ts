import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { type ManualClock, manualClock } from '../base/clock.ts';
import { isWritError } from '../base/error.ts';
import { type Batch, newBatch } from '../db/batch.ts';
import {
  type Answer,
  type AnswerReader,
  idempotencyOf,
  KEY_LIFETIME_MS,
  type KeyedRequest,
  parseIdempotencyKey,
  purgeExpiredAnswers,
} from './idempotency.ts';

const MIGRATION = join(import.meta.dirname, '../db/migrations/0006-http.sql');
const KEY = '6f1c0a52-93c7-4c0e-8a5e-3d2b1a90f7aa';

type Values = (string | number | Uint8Array)[];

function store(): { reader: AnswerReader; clock: ManualClock; commit(batch: Batch): boolean; db: DatabaseSync } {
  const db = new DatabaseSync(':memory:');
  db.exec(readFileSync(MIGRATION, 'utf8'));
  return {
    db,
    clock: manualClock(1_700_000_000_000),
    reader: { get: async (sql, params) => db.prepare(sql).get(...(params as Values)) as Record<string, unknown> },
    commit(batch) {
      for (const check of batch.checks)
        if (db.prepare(check.sql).get(...(check.params as unknown as Values))) return false;
      for (const write of batch.writes) db.prepare(write.sql).run(...(write.params as unknown as Values));
      return true;
    },
  };
}

function request(change: Partial<KeyedRequest> = {}): KeyedRequest {
  const base = { caller: 'spiffe://acme.example/operator/ada', route: 'POST /v1/agents', key: KEY };
  return { ...base, target: '/v1/agents', body: Buffer.from('{"name":"planner"}'), ...change };
}

const answers: [string, Answer][] = [
  ['reference', { kind: 'reference', reference: '0198a1' }],
  ['value', { kind: 'value', value: { name: 'planner', labels: ['a', 'b'] } }],
  ['secret', { kind: 'secret', value: { token: 'writ-canary-token' } }],
];

for (const [name, answer] of answers) {
  test(`a repeat finds the first answer, kept as ${name}`, async () => {
    const { reader, clock, commit } = store();
    const batch = newBatch();
    const first = idempotencyOf(request(), reader, clock);
    assert.equal(await first.first(), undefined);
    first.keep(batch, answer);
    assert.ok(commit(batch));
    assert.deepEqual(await idempotencyOf(request(), reader, clock).first(), answer);
  });
}

test('of two in flight one commits', async () => {
  const { reader, clock, commit } = store();
  const batches = ['a', 'b'].map((reference) => {
    const batch = newBatch();
    idempotencyOf(request(), reader, clock).keep(batch, { kind: 'reference', reference });
    return batch;
  });
  assert.deepEqual(
    batches.map((batch) => commit(batch)),
    [true, false],
  );
  assert.deepEqual(await idempotencyOf(request(), reader, clock).first(), { kind: 'reference', reference: 'a' });
});

test('another body or target under the same key is refused; another caller or route is another key', async () => {
  const { reader, clock, commit } = store();
  const batch = newBatch();
  idempotencyOf(request(), reader, clock).keep(batch, { kind: 'reference', reference: 'a' });
  assert.ok(commit(batch));
  for (const change of [{ body: Buffer.from('{}') }, { target: '/v1/agents?dry_run=true' }]) {
    await assert.rejects(idempotencyOf(request(change), reader, clock).first(), (error) =>
      isWritError(error, 'idempotency_mismatch'),
    );
  }
  for (const change of [{ caller: 'spiffe://acme.example/operator/bob' }, { route: 'PATCH /v1/agents/{name}' }]) {
    assert.equal(await idempotencyOf(request(change), reader, clock).first(), undefined);
  }
});

test('an answer lives 24 hours, then gives way, then is purged', async () => {
  const { reader, clock, commit, db } = store();
  const keep = (reference: string): boolean => {
    const batch = newBatch();
    idempotencyOf(request(), reader, clock).keep(batch, { kind: 'reference', reference });
    return commit(batch);
  };
  assert.ok(keep('a'));
  clock.advance(KEY_LIFETIME_MS - 1);
  assert.ok(!keep('b'));
  clock.advance(1);
  assert.equal(await idempotencyOf(request(), reader, clock).first(), undefined);
  assert.ok(keep('b'));
  clock.advance(KEY_LIFETIME_MS);
  const count = (): unknown => db.prepare('SELECT count(*) AS n FROM idempotency').get()?.['n'];
  commit({ ...newBatch(), writes: [purgeExpiredAnswers(clock.now() - 1, 10)] });
  assert.equal(count(), 1);
  commit({ ...newBatch(), writes: [purgeExpiredAnswers(clock.now(), 10)] });
  assert.equal(count(), 0);
});

test('neither the key nor a secret answer lies in the table', async () => {
  const { reader, clock, commit, db } = store();
  const batch = newBatch();
  idempotencyOf(request(), reader, clock).keep(batch, { kind: 'secret', value: { token: 'writ-canary-token' } });
  commit(batch);
  const row = Object.values(db.prepare('SELECT * FROM idempotency').get()!);
  const text = row.map((value) => (value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : `${value}`));
  assert.ok(!text.join().includes('canary') && !text.join().includes(KEY));
  db.exec('UPDATE idempotency SET answer = zeroblob(48)');
  await assert.rejects(idempotencyOf(request(), reader, clock).first());
});

test('the header takes a bare or quoted key of 16 to 255 visible characters', () => {
  assert.equal(parseIdempotencyKey(KEY), KEY);
  assert.equal(parseIdempotencyKey(`"${KEY}"`), KEY);
  for (const bad of ['', '"', 'short', 'x'.repeat(256), `${KEY} `, `${KEY}"`, `${KEY}\\`, `${KEY}\u00e9`]) {
    assert.throws(
      () => parseIdempotencyKey(bad),
      (error) => isWritError(error, 'bad_request') && error.field === 'Idempotency-Key',
      bad,
    );
  }
});
