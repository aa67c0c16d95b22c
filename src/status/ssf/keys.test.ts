import assert from 'node:assert/strict';
import { onBothEngines, type StoreParts } from '../../../test/stores.ts';
import type { Caller } from '../../base/access.ts';
import { manualClock } from '../../base/clock.ts';
import { isWritError, type WritError } from '../../base/error.ts';
import { systemRandom } from '../../base/random.ts';
import { readTokenKeys, tokenSigner } from '../../ca/jwt/key.ts';
import { newBatch } from '../../db/batch.ts';
import type { SqlValue } from '../../db/database.ts';
import { createKeyring } from '../../keys/keyring.ts';
import { Passphrase } from '../../keys/passphrase.ts';
import type { RecordedEvent } from '../../ledger/entry.ts';
import { replayRevocations } from '../../revocation/replay.ts';
import { ADA, GATEWAY, START } from '../testdata/ssf-world.ts';
import { ensureSignalKeys, keepSignalKeys, rotateSignalKey, type SignalKeyParts } from './keys.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const refusedAs = (code: WritError['code']) => (error: unknown) => isWritError(error, code);

async function setUp({ database, commit, events }: StoreParts) {
  const clock = manualClock(START);
  const random = systemRandom();
  const batch = newBatch();
  const keyring = await createKeyring(batch, new Passphrase(Buffer.from('a passphrase for tests')), {
    ...{ now: START, random },
    derivation: { memory: 8192, passes: 1, lanes: 1, salt: random(16) },
  });
  await commit(batch);
  const parts: SignalKeyParts = { reader: database, commit, keyring, random, clock, algorithm: 'ES256' };
  const open = tokenSigner(database, keyring, clock.now);
  return {
    ...{ clock, parts },
    rotate: (atOnce = false, caller: Caller = ADA) =>
      rotateSignalKey(
        caller,
        { atOnce },
        { ...parts, authorize: () => ({ allowed: true, rules: [], policyVersion: 1 }) },
      ),
    published: async () => (await readTokenKeys(database)).map(({ jwk }) => jwk['kid']!),
    signing: async () => (await open()).kid,
    said: () => events.map(({ type, body }) => [type, body['caller'], body['kid']]),
  };
}

onBothEngines('a key is published before it signs, and after the next signs', async (store) => {
  const { clock, parts, rotate, published, signing, said } = await setUp(store);
  await assert.rejects(rotate(), refusedAs('not_found'));
  await assert.rejects(signing(), refusedAs('not_found'));
  await Promise.all([ensureSignalKeys(parts), ensureSignalKeys(parts)]);
  const [first] = await published();
  assert.deepEqual(await published(), [first]);
  assert.equal(await signing(), first, 'the first signs at once');
  clock.advance(1000);
  const { kid: second, signsFrom } = await rotate();
  assert.deepEqual(await published(), [first, second]);
  clock.advance(HOUR - 1);
  assert.ok(clock.now() < signsFrom);
  assert.equal(await signing(), first);
  // A process looks once a second.
  clock.advance(1000);
  assert.equal(await signing(), second);
  clock.advance(7 * DAY - 1000);
  assert.equal(await keepSignalKeys(parts), undefined);
  clock.advance(1);
  assert.equal(await keepSignalKeys(parts), 'retired');
  assert.deepEqual(await published(), [second]);
  assert.equal(await keepSignalKeys(parts), undefined);
  assert.deepEqual(said(), [
    ['signal.key_created', 'system:start', first],
    ['signal.key_created', ADA.id, second],
    ['signal.key_retired', 'system:signals', first],
  ]);
});

onBothEngines('a key that was stolen leaves at once', async (store) => {
  const { parts, rotate, published, signing, clock, said } = await setUp(store);
  await ensureSignalKeys(parts);
  const [first] = await published();
  assert.equal(await signing(), first);
  const { kid: second } = await rotate();
  const { kid: third, signsFrom } = await rotate(true);
  assert.equal(signsFrom, clock.now());
  assert.deepEqual(await published(), [third]);
  clock.advance(1000);
  assert.equal(await signing(), third);
  assert.deepEqual(said().slice(2), [
    ['signal.key_created', ADA.id, third],
    ['signal.key_retired', ADA.id, first],
    ['signal.key_retired', ADA.id, second],
  ]);
});

onBothEngines('the key changes by itself before a year is over, once, whoever looks', async (store) => {
  const { parts, published, clock, signing } = await setUp(store);
  assert.equal(await keepSignalKeys(parts), undefined, 'not before there is a stream');
  await ensureSignalKeys(parts);
  const [first] = await published();
  clock.advance(300 * DAY - 1);
  assert.equal(await keepSignalKeys(parts), undefined);
  clock.advance(1);
  const done = await Promise.all([keepSignalKeys(parts), keepSignalKeys(parts), keepSignalKeys(parts)]);
  assert.deepEqual(done.filter(Boolean), ['rotated']);
  assert.equal((await published()).length, 2);
  assert.equal(await signing(), first);
  clock.advance(HOUR);
  assert.notEqual(await signing(), first);
});

onBothEngines('another algorithm comes with a key of its own, in the same way', async (store) => {
  const { parts, published, clock, signing, rotate } = await setUp(store);
  await ensureSignalKeys(parts);
  const [first] = await published();
  const rsa: SignalKeyParts = { ...parts, algorithm: 'RS256' };
  assert.equal(await keepSignalKeys(rsa), 'rotated');
  assert.equal(await keepSignalKeys(rsa), undefined);
  const keys = await readTokenKeys(parts.reader);
  assert.deepEqual(
    keys.map(({ algorithm, jwk }) => [algorithm, jwk['kty']]),
    [
      ['ES256', 'EC'],
      ['RS256', 'RSA'],
    ],
  );
  assert.equal(await signing(), first);
  clock.advance(HOUR + 1);
  assert.equal(await signing(), keys[1]!.jwk['kid']);
  for (let i = 2; i < 8; i++) await rotate();
  await assert.rejects(rotate(), refusedAs('conflict'));
  assert.equal((await published()).length, 8);
  await rotate(true);
  assert.equal((await published()).length, 1);
});

onBothEngines('of two who rotate at once one does, and a service never', async (store) => {
  const { parts, rotate, published } = await setUp(store);
  await ensureSignalKeys(parts);
  await assert.rejects(rotate(false, GATEWAY), refusedAs('denied'));
  const both = await Promise.allSettled([rotate(true), rotate(true)]);
  assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  assert.equal((await published()).length, 1);
});

onBothEngines('a key that was stolen does not come back with an older backup', async (store) => {
  const { parts, rotate, published, signing, clock } = await setUp(store);
  const { database, commit, events } = store;
  await ensureSignalKeys(parts);
  const [stolen] = await published();
  const columns = 'id, purpose, algorithm, spki, sealed, created_at';
  const kept = await database.all(`SELECT ${columns} FROM sealed_key`);
  await rotate(true);
  const since = events.slice(-2).map((event) => ({ ...event, time: clock.now() }) as unknown as RecordedEvent);
  // The database of before.
  await database.transaction(async (tx) => {
    await tx.run('DELETE FROM sealed_key');
    for (const row of kept) {
      const values = columns.split(', ').map((column) => row[column] as SqlValue);
      await tx.run(`INSERT INTO sealed_key (${columns}) VALUES (?, ?, ?, ?, ?, ?)`, values);
    }
  });
  assert.deepEqual(await published(), [stolen]);
  const batch = newBatch();
  batch.writes.push(...(await replayRevocations(database)(since)).writes);
  await commit(batch);
  assert.deepEqual(await published(), []);
  assert.deepEqual(await Promise.all([keepSignalKeys(parts), keepSignalKeys(parts)]), ['rotated', 'rotated']);
  const [key, ...more] = await published();
  assert.deepEqual([more, key === stolen], [[], false]);
  clock.advance(1000);
  assert.equal(await signing(), key);
});
