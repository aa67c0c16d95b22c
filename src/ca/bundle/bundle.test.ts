import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { test } from 'node:test';
import { onEachEngine } from '../../../test/engines.ts';
import { ADA, createInstallation, type Installation } from '../../../test/installation.ts';
import { isWritError } from '../../base/error.ts';
import { newBatch } from '../../db/batch.ts';
import { KEY_ALGORITHMS } from '../../keys/generate.ts';
import { replayRevocations } from '../../revocation/replay.ts';
import { readTokenKeys, SVID_KEYS, tokenSigner } from '../jwt/key.ts';
import { makeChain } from '../testdata/installation.ts';
import { pushBundle, readBundle, settleBundle, spiffeBundle } from './bundle.ts';
import { keepSvidKeys, rotateSvidKey, type SvidKeyParts } from './svid-keys.ts';

const DAY = 86_400_000;

function partsOf({ database, commit, keyring, random, clock }: Installation): SvidKeyParts {
  return { reader: database, commit, keyring, random, clock };
}

const kidsIn = (bundle: { keys: readonly Readonly<Record<string, unknown>>[] } | undefined): unknown[] =>
  (bundle?.keys ?? []).filter(({ use }) => use === 'jwt-svid').map(({ kid }) => kid);

onEachEngine('a key of tokens is published before it signs, and deleted after the next took over', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { database, keyring, clock } = installation;
  const parts = partsOf(installation);
  const signer = tokenSigner(database, keyring, clock.now, SVID_KEYS);
  const signing = async (): Promise<string> => (await signer(true)).kid;
  await assert.rejects(signing(), (error) => isWritError(error, 'not_found'));
  assert.deepEqual(
    (await Promise.all([keepSvidKeys(parts), keepSvidKeys(parts)])).filter((done) => done !== undefined),
    ['made'],
  );
  const first = await signing();
  const published = await readBundle(database);
  assert.deepEqual(kidsIn(published), [first], 'the first signs at once, and is in the bundle');
  assert.equal(published!.keys.filter(({ use }) => use === 'x509-svid').length, 1);
  assert.equal(await keepSvidKeys(parts), undefined);
  assert.equal(await settleBundle(parts), undefined, 'what is published is not published again');

  installation.advance(30 * DAY);
  assert.equal(await keepSvidKeys(parts), 'rotated');
  const both = await readBundle(database);
  const second = kidsIn(both)[1] as string;
  assert.ok(both!.sequence > published!.sequence);
  installation.advance(DAY - 1);
  assert.equal(await signing(), first);
  assert.equal(await keepSvidKeys(parts), undefined);
  installation.advance(1);
  assert.equal(await signing(), second);
  installation.advance(DAY - 1);
  assert.equal(await keepSvidKeys(parts), undefined, 'tokens of the first may be about still');
  installation.advance(1);
  assert.equal(await keepSvidKeys(parts), 'retired');
  const last = await readBundle(database);
  assert.deepEqual(kidsIn(last), [second]);
  assert.ok(last!.sequence > both!.sequence);
  const said = (await installation.events()).map(({ type }) => type).filter((type) => /^(jwt|bundle)\./.test(type));
  const publishes = 'bundle.published';
  assert.deepEqual(said, ['jwt.key_created', publishes, 'jwt.key_created', publishes, 'jwt.key_retired', publishes]);
  await installation.close();
});

onEachEngine(
  'a stolen key is replaced at once: the new one signs, and the old is believed no more',
  async ({ open }) => {
    const installation = await createInstallation(await open());
    const { database, keyring, clock } = installation;
    const parts = {
      ...partsOf(installation),
      authorize: () => ({ allowed: true, rules: [], policyVersion: 1 }) as const,
    };
    await keepSvidKeys(parts);
    const signer = tokenSigner(database, keyring, clock.now, SVID_KEYS);
    const stolen = (await signer()).kid;
    const { kid, signsFrom } = await rotateSvidKey(ADA, { atOnce: true }, parts);
    assert.equal(signsFrom, clock.now());
    assert.equal((await signer(true)).kid, kid);
    assert.deepEqual(kidsIn(await readBundle(database)), [kid]);
    assert.notEqual(kid, stolen);
    const { kid: next } = await rotateSvidKey(ADA, { atOnce: false }, parts);
    assert.equal((await signer(true)).kid, kid, 'without haste the next is only published');
    assert.deepEqual(kidsIn(await readBundle(database)), [kid, next]);
    await installation.close();
  },
);

onEachEngine(
  'the sequence never goes back, also after an older backup and with a clock that lags',
  async ({ open }) => {
    const installation = await createInstallation(await open());
    const { database, clock, commit } = installation;
    const parts = {
      ...partsOf(installation),
      authorize: () => ({ allowed: true, rules: [], policyVersion: 1 }) as const,
    };
    await keepSvidKeys(parts);
    const backup = await Promise.all([
      database.all('SELECT * FROM trust_bundle'),
      database.all('SELECT * FROM sealed_key'),
    ]);
    const kept = kidsIn(await readBundle(database));
    const before = (await installation.events()).length;
    const { kid } = await rotateSvidKey(ADA, { atOnce: true }, parts);
    const seen = (await readBundle(database))!.sequence;
    const since = await installation.events(before);

    // The older database is put in place, and the anchor tells it what came after.
    const restore = newBatch();
    restore.writes.push({ sql: 'DELETE FROM sealed_key WHERE purpose = ?', params: [SVID_KEYS.purpose] });
    for (const row of backup[1].filter(({ purpose }) => purpose === SVID_KEYS.purpose)) {
      const names = ['id', 'purpose', 'algorithm', 'spki', 'sealed', 'created_at'];
      restore.writes.push({
        sql: `INSERT INTO sealed_key (${names.join(', ')}) VALUES (?, ?, ?, ?, ?, ?)`,
        params: names.map((name) => row[name] as string),
      });
    }
    const [row] = backup[0];
    restore.writes.push({
      sql: 'UPDATE trust_bundle SET sequence = ?, keys = ? WHERE id = 1',
      params: [row!['sequence'] as number, row!['keys'] as string],
    });
    await commit(restore);
    assert.deepEqual(kidsIn(await readBundle(database)), kept);
    const replayed = newBatch();
    replayed.writes.push(...(await replayRevocations(database)(since)).writes);
    await commit(replayed);
    assert.deepEqual(await readTokenKeys(database, SVID_KEYS), [], 'the stolen key does not come back');
    const floor = (await readBundle(database))!.sequence;
    assert.ok(floor > seen);
    assert.equal(await keepSvidKeys(parts), 'made');
    const again = await readBundle(database);
    assert.ok(again!.sequence > floor);
    assert.ok(!kidsIn(again).includes(kid) && !kidsIn(again).includes(kept[0]));

    clock.set(clock.now() - 500);
    await rotateSvidKey(ADA, { atOnce: true }, parts);
    assert.equal((await readBundle(database))!.sequence, again!.sequence + 1);
    await installation.close();
  },
);

onEachEngine('of two who publish at once one does', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { database, commit, clock } = installation;
  const parts = partsOf(installation);
  const { root } = await makeChain('ecdsa-p256');
  const before = await readBundle(database);
  const outcomes = [root, { ...root, id: 'other' }].map((one) => {
    const batch = newBatch();
    pushBundle(batch, before, { roots: [one], tokenKeys: [] }, { now: clock.now(), caller: 'system:test' });
    return commit(batch);
  });
  const refused = (await Promise.all(outcomes)).filter(({ committed }) => !committed);
  assert.deepEqual(
    refused.map((outcome) => !outcome.committed && outcome.refusal),
    ['conflict'],
  );
  assert.equal(await settleBundle(parts), 'published', 'and then what is true is published');
  await installation.close();
});

for (const algorithm of KEY_ALGORITHMS) {
  test(`${algorithm}: an anchor in a bundle`, async () => {
    const { root } = await makeChain(algorithm);
    const batch = newBatch();
    pushBundle(batch, undefined, { roots: [root], tokenKeys: [] }, { now: 7, caller: 'system:test' });
    const keys = JSON.parse(batch.writes[0]!.params[2] as string);
    const bundle = spiffeBundle({ sequence: 7, publishedAt: 7, keys });
    const [key] = bundle.keys;
    assert.equal(key!['use'], 'x509-svid');
    assert.ok(!('kid' in key!));
    assert.deepEqual(Buffer.from((key!['x5c'] as string[])[0]!, 'base64'), Buffer.from(root.certificate.raw));
    const spki = createPublicKey({ key: key!, format: 'jwk' }).export({ type: 'spki', format: 'der' });
    assert.deepEqual(new Uint8Array(spki), root.certificate.spki);
    assert.equal(bundle.spiffe_sequence, 7);
    assert.ok(bundle.spiffe_refresh_hint > 0);
  });
}
