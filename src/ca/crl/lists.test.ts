import assert from 'node:assert/strict';
import { onEachEngine } from '../../../test/engines.ts';
import { RowWriter } from '../../../test/rows.ts';
import { type Batch, type CommitBatch, newBatch } from '../../db/batch.ts';
import type { Database } from '../../db/database.ts';
import { migrate } from '../../db/migrate.ts';
import { verifySignature } from '../../x509/algorithm.ts';
import { type Crl, parseCrl } from '../../x509/crl.ts';
import { findExtension } from '../../x509/extension.ts';
import { decodeCrlDistributionPoints } from '../../x509/extensions/crl-distribution-points.ts';
import { CRL_NUMBER, DELTA_CRL_INDICATOR, decodeCrlNumber } from '../../x509/extensions/crl-number.ts';
import { FRESHEST_CRL } from '../../x509/extensions/freshest-crl.ts';
import {
  decodeIssuingDistributionPoint,
  ISSUING_DISTRIBUTION_POINT,
} from '../../x509/extensions/issuing-distribution-point.ts';
import { decodeReasonCode } from '../../x509/extensions/reason-code.ts';
import { parsePublicKey } from '../../x509/public-key.ts';
import { openAuthority } from '../authority/open.ts';
import { makeSerial } from '../certificate/serial.ts';
import { CERTIFICATES } from '../index/certificates.ts';
import { install, random, START, TRUST_DOMAIN } from '../testdata/installation.ts';
import { FullList } from './full-list.ts';
import { SCHEDULE } from './list.ts';
import { PIECE } from './pieces.ts';
import { type ListParts, shardList } from './publish-shard.ts';
import { pushHeld, pushReleased, pushRevoked, pushRevokedPurge } from './revoked.ts';
import { listedAuthorities, ServedLists } from './served.ts';
import { insertShard, pushShardPurge } from './shard.ts';

const URL = 'http://status.agents.example.com/crl/shard/one.crl';
const HOUR = 3_600_000;

async function setUp(open: () => Promise<Database>) {
  const database = await open();
  await migrate(database);
  let writer: RowWriter | undefined;
  const commit: CommitBatch = async (batch) => (await writer!.commit(batch))[0]!;
  const late = { now: () => made.clock.now() };
  writer = new RowWriter(database, [CERTIFICATES], { ...late } as never);
  const made = await install({ commit });
  const { clock, issuing, keyring } = made;
  const parts: ListParts = {
    reader: database,
    commit,
    clock,
    statusUrl: 'http://status.agents.example.com',
    issuer: async (id) => (id === issuing.id ? openAuthority(database, keyring, issuing, TRUST_DOMAIN) : undefined),
  };
  const act = async (push: (batch: Batch) => void): Promise<void> => {
    const batch = newBatch();
    push(batch);
    const answer = await commit(batch);
    if (!answer.committed) throw new Error(answer.reason);
  };
  await act((batch) => insertShard(batch, { id: 'one', issuer: issuing.id, createdAt: START }));
  const leaf = (lifetime = HOUR) => ({
    serial: makeSerial(clock.now(), lifetime / 1000, random),
    issuer: issuing.id,
    shard: 'one',
    expiresAt: clock.now() + lifetime,
  });
  return { database, clock, issuing, parts, act, leaf };
}

type Leaf = { readonly serial: Uint8Array };

const hex = (serial: Uint8Array): string => Buffer.from(serial).toString('hex');

/** What a list says: serial numbers with their reasons. */
function saying(crl: Crl): Record<string, string> {
  const entries = crl.entries.map(({ serial, extensions }) => [hex(serial), decodeReasonCode(extensions[0]!.value)]);
  return Object.fromEntries(entries) as Record<string, string>;
}

const said = (...entries: readonly [Leaf, string][]): Record<string, string> =>
  Object.fromEntries(entries.map(([{ serial }, reason]) => [hex(serial), reason]));

function numberIn(crl: Crl, oid: string): number | undefined {
  const extension = findExtension(crl.extensions, oid);
  return extension === undefined ? undefined : Number(decodeCrlNumber(extension.value));
}

onEachEngine('a shard has a base and a delta of one scope and one numbering', async ({ open }) => {
  const { clock, issuing, parts, act, leaf } = await setUp(open);
  assert.equal(await shardList('none', parts), undefined);
  const first = (await shardList('one', parts))!;
  assert.deepEqual(await shardList('one', parts), first, 'nothing changed');
  const [stolen, held] = [leaf(), leaf()];
  await act((batch) => pushRevoked(batch, stolen, { at: clock.now(), reason: 1 }));
  await act((batch) => pushHeld(batch, held, { at: clock.now() }));
  const list = (await shardList('one', parts))!;
  const [base, delta] = [parseCrl(list.crl), parseCrl(list.delta!)];
  for (const crl of [base, delta]) {
    assert.ok(
      verifySignature(crl.signatureAlgorithm, parsePublicKey(issuing.certificate.spki), crl.tbs, crl.signature),
    );
    assert.equal(numberIn(crl, CRL_NUMBER), list.number);
    const point = findExtension(crl.extensions, ISSUING_DISTRIBUTION_POINT)!;
    assert.equal(point.critical, true);
    assert.deepEqual(decodeIssuingDistributionPoint(point.value).name, { fullName: [{ kind: 'uri', value: URL }] });
    assert.deepEqual(saying(crl), said([stolen, 'keyCompromise'], [held, 'certificateHold']));
  }
  assert.ok(list.number > first.number);
  assert.equal(numberIn(base, DELTA_CRL_INDICATOR), undefined);
  assert.equal(numberIn(delta, DELTA_CRL_INDICATOR), first.number);
  assert.equal(findExtension(delta.extensions, DELTA_CRL_INDICATOR)!.critical, true);
  const [freshest] = decodeCrlDistributionPoints(findExtension(base.extensions, FRESHEST_CRL)!.value);
  const deltaUrl = URL.replace('/shard/', '/delta/');
  assert.deepEqual(freshest!.name, { fullName: [{ kind: 'uri', value: deltaUrl }] });
  assert.equal(findExtension(delta.extensions, FRESHEST_CRL), undefined);

  await act((batch) => pushReleased(batch, held, { at: clock.now() }));
  const released = (await shardList('one', parts))!;
  assert.deepEqual(saying(parseCrl(released.crl)), said([stolen, 'keyCompromise']));
  assert.deepEqual(
    saying(parseCrl(released.delta!)),
    said([stolen, 'keyCompromise'], [held, 'removeFromCRL']),
    'whoever has the base of before takes it off',
  );
});

/** Numbers from 0 to `below`, the same in each run. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

onEachEngine(
  'whoever holds a list since the base of a delta gets the newest by it, whatever happened',
  async ({ open }) => {
    const { clock, parts, act, leaf } = await setUp(open);
    const random = numbers(7);
    const leaves: ReturnType<typeof leaf>[] = [];
    const seen: { readonly number: number; readonly said: Record<string, string> }[] = [];
    const count = { compared: 0, taken: 0 };
    let lastBase = 0;
    for (let step = 0; step < 250; step++) {
      const kind = random(10);
      if (kind < 4 || leaves.length === 0) leaves.push(leaf((1 + random(40)) * HOUR));
      const one = leaves[random(leaves.length)]!;
      const at = clock.now();
      if (kind < 3) await act((batch) => pushHeld(batch, one, { at }));
      else if (kind < 5) await act((batch) => pushReleased(batch, one, { at }));
      else if (kind < 6) await act((batch) => pushRevoked(batch, one, { at, reason: 1 }));
      // Some of it is long enough for a list on schedule, and some for many lists to be due at once.
      else clock.advance([1, 1000, HOUR, 5 * HOUR, SCHEDULE, 3 * SCHEDULE][Math.min(random(6), random(6))]!);
      if (random(3) === 0) continue;
      const list = (await shardList('one', parts))!;
      const [base, delta] = [parseCrl(list.crl), parseCrl(list.delta!)];
      const said = saying(base);
      const previous = seen.at(-1);
      assert.ok(previous === undefined || list.number >= previous.number);
      if (list.number === previous?.number) {
        assert.deepEqual(said, previous.said, 'a number stands for one list');
        continue;
      }
      for (const crl of [base, delta]) {
        assert.equal(numberIn(crl, CRL_NUMBER), list.number);
        assert.ok(crl.thisUpdate <= clock.now() && crl.nextUpdate! > clock.now());
        const { value, critical } = findExtension(crl.extensions, ISSUING_DISTRIBUTION_POINT)!;
        // Its certificates are the scope, of whatever kind: none of the `only…` is said (RFC 5280 §5.2.5).
        assert.deepEqual([critical, decodeIssuingDistributionPoint(value)], [true, SCOPE]);
      }
      assert.ok(!Object.values(said).includes('removeFromCRL'));
      assert.equal(findExtension(base.extensions, DELTA_CRL_INDICATOR), undefined);
      assert.equal(findExtension(delta.extensions, FRESHEST_CRL), undefined);
      const from = numberIn(delta, DELTA_CRL_INDICATOR)!;
      assert.ok(from >= lastBase && from <= list.number);
      lastBase = from;
      const alive = (entries: Record<string, string>): Record<string, string> =>
        Object.fromEntries(
          Object.entries(entries).filter(([serial]) =>
            leaves.some((each) => hex(each.serial) === serial && each.expiresAt > clock.now()),
          ),
        );
      for (const older of seen.filter(({ number }) => number >= from)) {
        const applied = { ...older.said };
        for (const [serial, reason] of Object.entries(saying(delta))) {
          if (reason === 'removeFromCRL') count.taken += delete applied[serial] ? 1 : 0;
          else applied[serial] = reason;
        }
        count.compared += 1;
        assert.deepEqual(alive(applied), alive(said), `from ${older.number} by the delta of ${list.number}`);
      }
      seen.push({ number: list.number, said });
    }
    // It looked at something.
    assert.ok(
      seen.length > 50 && count.compared > 200 && count.taken > 50,
      JSON.stringify({ ...count, lists: seen.length }),
    );
  },
);

const SCOPE = {
  name: { fullName: [{ kind: 'uri', value: URL }] },
  ...{ onlyUserCerts: false, onlyCaCerts: false, someReasons: false, indirect: false, onlyAttributeCerts: false },
};

onEachEngine('lists are signed on schedule, and what expired stays for one of them', async ({ open }) => {
  const { clock, parts, act, leaf } = await setUp(open);
  const [short, long] = [leaf(HOUR), leaf(100 * HOUR)];
  await act((batch) => pushRevoked(batch, short, { at: clock.now(), reason: 1 }));
  await act((batch) => pushRevoked(batch, long, { at: clock.now(), reason: 5 }));
  const list = async () => (await shardList('one', parts))!;
  const first = await list();
  clock.advance(2 * HOUR);
  await act((batch) => pushRevoked(batch, leaf(100 * HOUR), { at: clock.now(), reason: 4 }));
  const between = await list();
  assert.ok(hex(short.serial) in saying(parseCrl(between.crl)), 'no list of the schedule has had it');
  clock.advance(SCHEDULE - 2 * HOUR + 30_000);
  const second = await list();
  assert.ok(second.thisUpdate > short.expiresAt);
  assert.ok(hex(short.serial) in saying(parseCrl(second.crl)), 'one that is signed past its expiry has it');
  assert.equal(numberIn(parseCrl(second.delta!), DELTA_CRL_INDICATOR), first.number);
  await act((batch) => pushRevoked(batch, leaf(), { at: clock.now(), reason: 4 }));
  assert.ok(!(hex(short.serial) in saying(parseCrl((await list()).crl))), 'then it has left');
  clock.advance(SCHEDULE + 30_000);
  const third = await list();
  assert.ok(third.number > second.number && third.thisUpdate > second.thisUpdate);
  assert.equal(numberIn(parseCrl(third.delta!), DELTA_CRL_INDICATOR), second.number);
  clock.advance(30 * 24 * HOUR);
  assert.ok((await list()).nextUpdate > clock.now(), 'never one whose time is past');
});

onEachEngine('of several who sign at once one is heard, and numbers never go back', async ({ open }) => {
  const { database, clock, parts, act, leaf } = await setUp(open);
  const lists = await Promise.all([shardList('one', parts), shardList('one', parts), shardList('one', parts)]);
  assert.equal(new Set(lists.map((list) => list!.number)).size, 1);
  assert.equal(new Set(lists.map((list) => hex(list!.crl))).size, 1);
  // An older database is put in place, which knows nothing of the lists since.
  const before = lists[0]!.number;
  await database.transaction((tx) => tx.run('DELETE FROM crl_list'));
  clock.advance(1);
  await act((batch) => pushRevoked(batch, leaf(), { at: clock.now(), reason: 1 }));
  assert.ok((await shardList('one', parts))!.number > before);
});

onEachEngine('the list of an authority has all of its shards, and needs no look back', async ({ open }) => {
  const { database, clock, issuing, parts, act, leaf } = await setUp(open);
  const full = new FullList(issuing.id, parts);
  const served = new ServedLists(parts);
  const now = async () => parseCrl((await served.authority(issuing.id))!.crl);
  assert.equal(await served.authority(issuing.id), undefined);
  assert.deepEqual(await listedAuthorities(database, clock.now()), [issuing.id]);
  assert.equal(await full.publish(), true);
  assert.equal(await full.publish(), false, 'nothing changed');
  assert.equal((await now()).entries.length, 0);
  const held = [leaf(), leaf(), leaf()];
  const { shard: _, ...without } = leaf();
  for (const one of held) await act((batch) => pushHeld(batch, one, { at: clock.now() }));
  await act((batch) => pushRevoked(batch, without, { at: clock.now(), reason: 9 }));
  assert.equal(await full.publish(), true);
  const first = await now();
  const hold = 'certificateHold';
  assert.deepEqual(
    saying(first),
    said([held[0]!, hold], [held[1]!, hold], [held[2]!, hold], [without, 'privilegeWithdrawn']),
  );
  assert.equal(findExtension(first.extensions, ISSUING_DISTRIBUTION_POINT), undefined);
  assert.ok(
    verifySignature(first.signatureAlgorithm, parsePublicKey(issuing.certificate.spki), first.tbs, first.signature),
  );
  await act((batch) => pushReleased(batch, held[0]!, { at: clock.now() }));
  await act((batch) => pushRevoked(batch, held[1]!, { at: clock.now(), reason: 1 }));
  assert.equal(await full.publish(), true);
  const second = await now();
  const want = said([held[1]!, 'keyCompromise'], [held[2]!, hold], [without, 'privilegeWithdrawn']);
  assert.deepEqual(saying(second), want);
  assert.ok(numberIn(second, CRL_NUMBER)! > numberIn(first, CRL_NUMBER)!);

  const replica = new FullList(issuing.id, parts);
  assert.equal(await replica.publish(), false, 'what another has published is done for all');
  await act((batch) => pushReleased(batch, held[2]!, { at: clock.now() }));
  assert.equal(await replica.publish(), true);
  assert.equal(await full.publish(), false);
  await act((batch) => pushHeld(batch, held[2]!, { at: clock.now() }));
  assert.equal(await full.publish(), true);
  assert.deepEqual(saying(await now()), want, 'and each goes on where the other was');
  clock.advance(25 * HOUR);
  assert.equal(await served.authority(issuing.id), undefined, 'none whose time is past');
  assert.equal(await full.publish(), true);
  assert.equal((await now()).entries.length, 3, 'expired, on their last list');
  clock.advance(SCHEDULE + 60_000);
  assert.equal(await full.publish(), true);
  assert.equal((await now()).entries.length, 0);
});

onEachEngine('a long list of an authority is written once, in pieces, and read so', async ({ open }) => {
  const { database, clock, issuing, parts, act, leaf } = await setUp(open);
  const written: number[] = [];
  const counting: ListParts = {
    ...parts,
    async commit(batch) {
      const octets = batch.writes.flatMap(({ params }) => params).filter((param) => param instanceof Uint8Array);
      written.push(octets.reduce((sum, { length }) => sum + length, 0));
      return parts.commit(batch);
    },
  };
  const [full, replica] = [new FullList(issuing.id, counting), new FullList(issuing.id, counting)];
  const served = new ServedLists(parts);
  const revoke = (count: number, lifetime = HOUR) =>
    act((batch) => {
      for (let i = 0; i < count; i++) {
        const { shard: _, ...one } = leaf(lifetime);
        pushRevoked(batch, one, { at: clock.now(), reason: 1 });
      }
    });
  const pieces = async () => Number((await database.get('SELECT COUNT(*) AS n FROM crl_piece'))!['n']);
  const check = async (entries: number): Promise<void> => {
    const [one, two] = [(await served.authority(issuing.id))!, (await new ServedLists(parts).authority(issuing.id))!];
    assert.deepEqual(hex(one.crl), hex(two.crl), 'whoever has read one before, and whoever has not');
    const crl = parseCrl(one.crl);
    assert.equal(new Set(crl.entries.map(({ serial }) => hex(serial))).size, entries);
    assert.ok(
      verifySignature(crl.signatureAlgorithm, parsePublicKey(issuing.certificate.spki), crl.tbs, crl.signature),
    );
  };
  await full.publish();
  await revoke(9000, 40 * HOUR);
  const held = leaf(40 * HOUR);
  await act((batch) => pushHeld(batch, held, { at: clock.now() }));
  assert.equal(await full.publish(), true);
  const many = await pieces();
  assert.ok(many >= 6, `${many} pieces`);
  assert.ok(Math.max(...written) <= 5 * PIECE, 'no commit is a large one');
  await check(9001);

  // One more writes what is new, and less than two pieces.
  written.length = 0;
  await revoke(1, 40 * HOUR);
  assert.equal(await full.publish(), true);
  assert.ok(written.length === 1 && written[0]! < 2 * PIECE, `${written}`);
  await check(9002);

  // Another process makes the same pieces; what was held comes behind them when it is revoked.
  await act((batch) => pushRevoked(batch, held, { at: clock.now(), reason: 1 }));
  assert.equal(await replica.publish(), true);
  await check(9002);
  await revoke(1500, 40 * HOUR);
  assert.equal(await full.publish(), true);
  await check(10_502);

  // Pieces that are something else, as of another version, are not gone on with.
  await database.transaction((tx) =>
    tx.run('UPDATE crl_piece SET octets = (SELECT octets FROM crl_piece WHERE piece = 1) WHERE piece = 0'),
  );
  await revoke(1, 40 * HOUR);
  assert.equal(await new FullList(issuing.id, parts).publish(), true);
  await check(10_503);

  // A list without its pieces is none.
  await database.transaction((tx) => tx.run('UPDATE crl_list SET pieces = pieces + 100'));
  await assert.rejects(new ServedLists(parts).authority(issuing.id), /keeps changing/);
  await database.transaction((tx) => tx.run('UPDATE crl_list SET pieces = pieces - 100'));

  // On schedule they are collected anew, and those of before go; whoever rests on these begins again.
  clock.advance(SCHEDULE + 60_000);
  assert.equal(await full.publish(), true);
  await check(10_503);
  await revoke(1, 40 * HOUR);
  assert.equal(await replica.publish(), true);
  await check(10_504);
  for (let i = 0; i < 5; i++) {
    clock.advance(SCHEDULE + 60_000);
    assert.equal(await (i % 2 === 0 ? replica : full).publish(), true);
  }
  await check(0);
  assert.equal(await pieces(), 0);
});

onEachEngine('what has left the lists is deleted, but never the newest number', async ({ open }) => {
  const { database, clock, issuing, parts, act, leaf } = await setUp(open);
  for (let i = 0; i < 3; i++) await act((batch) => pushRevoked(batch, leaf(), { at: clock.now(), reason: 1 }));
  await shardList('one', parts);
  const purge = (push: typeof pushRevokedPurge) => act((batch) => push(batch, clock.now(), 100));
  await assert.rejects(purge(pushRevokedPurge), /Nothing has left/);
  clock.advance(8 * 24 * HOUR);
  await purge(pushRevokedPurge);
  assert.deepEqual(
    (await database.all('SELECT sequence FROM revoked')).map(({ sequence }) => sequence),
    [3],
  );
  await assert.rejects(purge(pushRevokedPurge), /Nothing has left/);
  await assert.rejects(purge(pushShardPurge), /No shard/);
  clock.advance(issuing.certificate.notAfter - clock.now() + 1);
  await purge(pushShardPurge);
  assert.equal(await shardList('one', parts), undefined);
  assert.equal((await database.get('SELECT COUNT(*) AS n FROM crl_list'))!['n'], 0);
});
