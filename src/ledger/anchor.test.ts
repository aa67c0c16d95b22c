import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { silentLog } from '../base/log.ts';
import type { Database } from '../db/database.ts';
import { openSqlite } from '../db/sqlite.ts';
import { whenAnchored } from '../db/when-anchored.ts';
import { Anchor } from './anchor.ts';
import { epochCell } from './epoch.ts';
import { readHead } from './head.ts';
import { eventsOf, readEvent } from './history.ts';
import { logSigner } from './log-signer.ts';
import { Sequencer } from './sequencer.ts';
import { startLog, startNewLog } from './start-log.ts';
import { change, revoke, type TestLedger, withLedger } from './testdata/ledger.ts';
import { verifyLedger } from './verify.ts';

const lines = ({ directory }: TestLedger): string[] =>
  readFileSync(join(directory, 'anchor', 'revocations'), 'utf8')
    .split('\n')
    .filter((line) => line !== '');

/** Copies the database as it is now. */
async function backup({ database, directory }: TestLedger, name: string): Promise<string> {
  const path = join(directory, name);
  await database.transaction(async () => undefined);
  const { DatabaseSync } = await import('node:sqlite');
  const copy = new DatabaseSync(join(directory, 'writ.db'), { readOnly: true });
  copy.exec(`VACUUM INTO '${path}'`);
  copy.close();
  return path;
}

/** Runs with the backup in the place of the database, and an anchor opened anew. */
async function restored(
  ledger: TestLedger,
  path: string,
  run: (options: TestLedger['options'], database: Database) => Promise<void>,
): Promise<void> {
  copyFileSync(path, `${path}.live`);
  chmodSync(`${path}.live`, 0o600);
  const database = openSqlite({ path: `${path}.live` });
  const anchor = await Anchor.open(join(ledger.directory, 'anchor'), silentLog);
  try {
    await run({ ...ledger.options, database, anchor }, database);
  } finally {
    await database.close();
  }
}

/** As a process that has an anchor of its own. */
async function revokeElsewhere({ directory, options }: TestLedger): Promise<void> {
  const anchor = await Anchor.open(join(directory, 'elsewhere'), silentLog);
  const other = await Sequencer.open({ ...options, anchor, epoch: epochCell() });
  await other.commit(revoke('theirs'));
  await other.close();
}

describe('Anchor', () => {
  it('is not believed where others can write', () =>
    withLedger(async ({ directory }) => {
      const path = join(directory, 'anchor');
      chmodSync(path, 0o770);
      await assert.rejects(Anchor.open(path, silentLog), { code: 'unsafe_permissions' });
      chmodSync(path, 0o750);
      await Anchor.open(path, silentLog);
    }));

  it('holds every anchored batch before it is answered, a group in one line', () =>
    withLedger(async (ledger) => {
      const { sequencer } = ledger;
      await sequencer.commit(change('x'));
      await sequencer.commit(revoke('a'));
      assert.equal(lines(ledger).length, 1);
      await Promise.all(['b', 'c'].map((name) => sequencer.commit(revoke(name))));
      assert.deepEqual(
        lines(ledger).map((line) => JSON.parse(line).batches.map((batch: { first: number }) => batch.first)),
        [[2], [3, 4]],
      );
      assert.equal(statSync(join(ledger.directory, 'anchor', 'revocations')).mode & 0o777, 0o600);
      assert.equal(statSync(join(ledger.directory, 'anchor')).mode & 0o777, 0o700);
    }));

  it('has everything before a batch is answered that asks for that alone', () =>
    withLedger(async (ledger) => {
      const { anchor: _, ...unanchored } = ledger.options;
      const other = await Sequencer.open({ ...unanchored, epoch: epochCell() });
      await other.commit(revoke('a'));
      await other.close();
      await whenAnchored((batch) => ledger.sequencer.commit(batch));
      assert.equal(lines(ledger).length, 1);
      assert.equal((await readHead(ledger.database))!.size, 2, 'nothing was recorded for it');
      rmSync(join(ledger.directory, 'anchor'), { recursive: true });
      await assert.rejects(ledger.sequencer.commit(revoke('b')), { code: 'storage_failed', field: 'commit' });
      await assert.rejects(
        whenAnchored((batch) => ledger.sequencer.commit(batch)),
        { code: 'unavailable' },
      );
    }));

  it('gets at start-up what a crash kept from it, once', () =>
    withLedger(async (ledger) => {
      for (const name of ['a', 'b', 'c']) await ledger.sequencer.commit(revoke(name));
      const path = join(ledger.directory, 'anchor', 'revocations');
      const kept = lines(ledger);
      // The crash came while the last line was written, and an earlier process never wrote the one before.
      writeFileSync(path, `${kept[0]}\n${kept[2]!.slice(0, 100)}`);
      for (let i = 0; i < 2; i++) {
        const anchor = await Anchor.open(join(ledger.directory, 'anchor'), silentLog);
        const again = await Sequencer.open({ ...ledger.options, anchor });
        await again.close();
      }
      const whole = lines(ledger).filter((line) => line.endsWith('}'));
      const firsts = whole.flatMap((line) => JSON.parse(line).batches.map((batch: { first: number }) => batch.first));
      assert.deepEqual(firsts, [1, 2, 3]);
    }));

  it('refuses to go on when it cannot be written, and recovers', () =>
    withLedger(async (ledger) => {
      const { sequencer, directory, epoch } = ledger;
      const before = epoch.current();
      await sequencer.commit(revoke('x'));
      rmSync(join(directory, 'anchor'), { recursive: true });
      await assert.rejects(sequencer.commit(revoke('a')), { code: 'storage_failed', field: 'commit' });
      assert.equal(epoch.current(), before + 2, 'enforcement does not wait for the anchor');
      await assert.rejects(sequencer.commit(change('y')), { code: 'unavailable' });
      await Anchor.open(join(directory, 'anchor'), silentLog);
      const start = Date.now();
      while (sequencer.status().state !== 'open' && Date.now() - start < 3000) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      await sequencer.commit(revoke('y'));
      const firsts = lines(ledger).flatMap((line) =>
        JSON.parse(line).batches.map((batch: { first: number }) => batch.first),
      );
      assert.deepEqual(firsts, [1, 2, 3]);
    }));

  it('is shared by processes that come and go beside a busy one', () =>
    withLedger(
      async (ledger) => {
        let busy = true;
        const load = (async () => {
          for (let i = 0; busy; i++) {
            await Promise.all([ledger.sequencer.commit(revoke(`a${i}`)), ledger.sequencer.commit(change(`b${i}`))]);
          }
        })();
        for (let i = 0; i < 15; i++) {
          const anchor = await Anchor.open(join(ledger.directory, 'anchor'), silentLog);
          const other = await Sequencer.open({ ...ledger.options, anchor, epoch: epochCell() });
          await other.commit(revoke(`c${i}`));
          await other.close();
        }
        busy = false;
        await load;
        await ledger.sequencer.close();
        const found: string[] = [];
        const { keys } = logSigner('any', ledger.keys);
        const report = (where: string, what: string): void => void found.push(`${where} ${what}`);
        await verifyLedger({ reader: ledger.database, keys, anchor: ledger.anchor, report });
        assert.deepEqual(found, []);
      },
      { options: { limits: { cosign: 1 } } },
    ));

  it('does not make a start believe that the database is behind, when it moves meanwhile', () =>
    withLedger(async (ledger) => {
      const anchor = await Anchor.open(join(ledger.directory, 'anchor'), silentLog);
      let between = 0;
      const { checkpoint } = anchor;
      // The start has read the head by now, and looks at the anchor next.
      anchor.checkpoint = async () => {
        if (between++ < 2) await ledger.sequencer.commit(revoke(`between${between}`));
        return checkpoint.call(anchor);
      };
      const other = await Sequencer.open({ ...ledger.options, anchor, epoch: epochCell() });
      assert.deepEqual(await other.commit(change('x')), { committed: true, firstLeaf: 3 });
      await other.close();
    }));

  it('learns what other processes revoked, without revoking anything itself', () =>
    withLedger(
      async (ledger) => {
        await revokeElsewhere(ledger);
        const start = Date.now();
        const path = join(ledger.directory, 'anchor', 'revocations');
        const written = () => existsSync(path) && statSync(path).size > 0;
        while (!written() && Date.now() - start < 3000) await new Promise((resolve) => setTimeout(resolve, 5));
        assert.equal(lines(ledger).length, 1);
      },
      { options: { limits: { poll: 20 } } },
    ));

  it('holds whatever others revoked under its checkpoint, also when its process ends before it looks again', () =>
    withLedger(
      async (ledger) => {
        await revokeElsewhere(ledger);
        await ledger.sequencer.close();
        assert.equal((await ledger.anchor.checkpoint())?.checkpoint.size, 2);
        assert.equal(lines(ledger).length, 1);
      },
      { options: { limits: { poll: 3_600_000, cosign: 3_600_000 } } },
    ));

  it('passes over lines that are not its own', () =>
    withLedger(async (ledger) => {
      await ledger.sequencer.commit(revoke('a'));
      const [line] = lines(ledger);
      const path = join(ledger.directory, 'anchor', 'revocations');
      for (const bad of ['x', '{}', line!.replace('"first":1', '"first":7'), line!.slice(0, -9), `${line} `]) {
        appendFileSync(path, `${bad}\n`);
      }
      const found = [];
      for await (const record of ledger.anchor.records(() => undefined)) found.push(record);
      assert.equal(found.length, 0);
      const again = await Sequencer.open(ledger.options);
      await again.close();
    }));
});

describe('an older database under the anchor', () => {
  it('is refused when entries are lost, and a new log takes over with the revocations', () =>
    withLedger(async (ledger) => {
      const { sequencer } = ledger;
      await Promise.all(Array.from({ length: 300 }, (_, i) => sequencer.commit(change(`a${i}`))));
      await sequencer.commit(revoke('early'));
      const old = await backup(ledger, 'old.db');
      await sequencer.commit(change('lost'));
      await Promise.all(['late', 'later'].map((name) => sequencer.commit(revoke(name))));
      await sequencer.close();
      const lostTail = await backup(ledger, 'lost.db');
      const lost = (await ledger.anchor.checkpoint())!;
      const { epoch } = (await readHead(ledger.database))!;
      await restored(ledger, old, async (options, database) => {
        await assert.rejects(Sequencer.open(options), (error: Error & { code: string; remedy: string }) => {
          assert.equal(error.code, 'behind_anchor');
          assert.match(error.message, /305 entries, but the database has only 302/);
          assert.match(error.remedy, /writ ledger new-log/);
          return true;
        });
        await options.database.transaction((tx) => tx.run("INSERT INTO state (name, value, leaf) VALUES ('t', 1, 0)"));
        const distrust = (now: number) => [{ sql: "UPDATE state SET value = ? WHERE name = 't'", params: [now] }];
        const { types, ...made } = await startNewLog({ ...options, distrust });
        assert.deepEqual(made, { origin: 'corp.example/ledger-2', replayed: 2 });
        assert.deepEqual(types, { 'certificate.revoked': 2 }, 'what is in it again');
        const used = await database.get("SELECT value FROM state WHERE name = 't'");
        assert.equal(used?.['value'], options.clock.now(), 'what may have been used up is not trusted');
        const names = await database.all('SELECT name FROM revoked ORDER BY name');
        assert.deepEqual(
          names.map((row) => row['name']),
          ['early', 'late', 'later'],
        );
        const started = (await readEvent(database, 302))!;
        assert.equal(started.type, 'log.started');
        assert.equal(started.body['lost'], lost.note);
        assert.equal(started.body['replaced'], 'corp.example/ledger');
        assert.equal(started.body['kept'], 302);
        assert.equal((await readEvent(database, 305))?.type, 'restore.replayed');
        assert.equal((await eventsOf(database, { subject: 'serial:later', limit: 2 })).length, 1);
        const head = (await readHead(database))!;
        assert.ok(head.epoch > epoch, 'an epoch never goes back');
        const next = await Sequencer.open(options);
        assert.deepEqual(await next.commit(change('next')), { committed: true, firstLeaf: 306 });
        await next.close();
        assert.equal((await options.anchor!.checkpoint())!.checkpoint.origin, 'corp.example/ledger-2');
        await assert.rejects(startNewLog(options), { code: 'conflict' });
      });
      // The database of the lost tail comes back: it is another history now, and may not go on either.
      await restored(ledger, lostTail, async (options) => {
        await assert.rejects(Sequencer.open(options), { code: 'behind_anchor' });
      });
      // So is a backup from before the new log: a third log takes over from the second, with all revocations.
      await restored(ledger, old, async (options, database) => {
        await assert.rejects(Sequencer.open(options), { code: 'behind_anchor' });
        const { types: _, ...made } = await startNewLog(options);
        assert.deepEqual(made, { origin: 'corp.example/ledger-3', replayed: 2 });
        const names = await database.all('SELECT name FROM revoked ORDER BY name');
        assert.deepEqual(
          names.map((row) => row['name']),
          ['early', 'late', 'later'],
        );
      });
    }));

  it('is filled up again also where the anchor has the checkpoint of an earlier log', () =>
    withLedger(async (ledger) => {
      await ledger.sequencer.commit(change('x'));
      await ledger.sequencer.close();
      const earlier = (await ledger.anchor.checkpoint())!.note;
      await startNewLog({ ...ledger.options, force: true });
      const second = await Sequencer.open(ledger.options);
      await second.commit(change('y'));
      const old = await backup(ledger, 'old.db');
      await second.commit(revoke('late'));
      await second.close();
      writeFileSync(join(ledger.directory, 'anchor', 'checkpoint'), earlier);
      await restored(ledger, old, async (options, database) => {
        const again = await Sequencer.open(options);
        assert.equal((await database.all('SELECT name FROM revoked')).length, 1);
        await again.close();
      });
    }));

  it('is filled up again when the anchor has all that is missing', () =>
    withLedger(async (ledger) => {
      const { sequencer } = ledger;
      await sequencer.commit(change('x'));
      const old = await backup(ledger, 'old.db');
      for (const name of ['a', 'b']) await sequencer.commit(revoke(name));
      await sequencer.close();
      const head = (await readHead(ledger.database))!;
      await restored(ledger, old, async (options, database) => {
        const again = await Sequencer.open(options);
        const now = (await readHead(database))!;
        assert.equal(now.size, head.size);
        assert.deepEqual(Buffer.from(now.root), Buffer.from(head.root));
        assert.equal(now.note, head.note);
        assert.ok(now.epoch > head.epoch);
        assert.equal((await database.all('SELECT name FROM revoked')).length, 2);
        await again.commit(revoke('c'));
        await again.close();
      });
      assert.equal(lines(ledger).length, 3);
    }));

  it('is not taken for a new installation when it is empty', () =>
    withLedger(async (ledger) => {
      await ledger.sequencer.commit(change('x'));
      await ledger.sequencer.close();
      const { testSchema } = await import('./testdata/ledger.ts');
      const database = openSqlite({ path: join(ledger.directory, 'empty.db') });
      await testSchema(database);
      await assert.rejects(startLog({ ...ledger.options, database }), { code: 'behind_anchor' });
      await database.close();
    }));

  it('is refused when its history is another one, or the anchor somebody else’s', () =>
    withLedger(async (ledger) => {
      await ledger.sequencer.commit(change('x'));
      const old = await backup(ledger, 'old.db');
      await ledger.sequencer.commit(change('y'));
      await ledger.sequencer.close();
      await restored(ledger, old, async (options) => {
        // Without its anchor nothing notices, and the log forks.
        const { anchor, ...blind } = options;
        const forked = await Sequencer.open(blind);
        await forked.commit(change('z'));
        await forked.close();
        await assert.rejects(Sequencer.open(options), { code: 'ledger_corrupt' });
        assert.ok(anchor);
      });
      const note = readFileSync(join(ledger.directory, 'anchor', 'checkpoint'), 'utf8');
      writeFileSync(
        join(ledger.directory, 'anchor', 'checkpoint'),
        note.replace('corp.example/ledger\n', 'b.example/ledger\n'),
      );
      await assert.rejects(Sequencer.open(ledger.options), { code: 'bad_config' });
    }));
});
