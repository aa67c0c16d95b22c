/**
 * Stands in for `openRecorder` of `src/cmd/recorder.ts` and breaks one promise, which the torture has to notice.
 * `WRIT_SABOTAGE` says which; without it everything is as it should be.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { systemRandom } from '../../../src/base/random.ts';
import { openRecorder as openHonest } from '../../../src/cmd/recorder.ts';
import type { Database, Transaction } from '../../../src/db/database.ts';
import type { EncodedBatch } from '../../../src/ledger/encode.ts';
import { encodeLeaf } from '../../../src/ledger/entry.ts';
import type { Sequencer } from '../../../src/ledger/sequencer.ts';

/** How long a commit that was answered already keeps everybody in the dark. */
const LATE_MS = 150;

export const openRecorder: typeof openHonest = async (parts) => {
  switch (process.env['WRIT_SABOTAGE']) {
    case 'answer-before-commit':
      return openHonest({ ...parts, database: answersEarly(parts.database) });
    case 'drop-leaf':
      return alters(await openHonest(parts), dropper());
    case 'reuse-token':
      return alters(await openHonest(parts), withoutTokenCheck);
    default:
      return openHonest(parts);
  }
};

/** Gives the result of a transaction before it has committed; not before there is somebody to whom it could be given. */
function answersEarly(database: Database): Database {
  let begun = false;
  return {
    engine: database.engine,
    all: (sql, params) => database.all(sql, params),
    get: (sql, params) => database.get(sql, params),
    transaction: async <T>(work: (tx: Transaction) => Promise<T>) => {
      begun ||= (await database.get('SELECT 1 AS found FROM operator LIMIT 1')) !== undefined;
      if (!begun) return database.transaction(work);
      return new Promise<T>((resolve, reject) => {
        database
          .transaction(async (tx) => {
            resolve(await work(tx));
            await pause(LATE_MS);
          })
          .catch(reject);
      });
    },
    snapshot: (read) => database.snapshot(read),
    close: () => database.close(),
  };
}

function alters(sequencer: Sequencer, alter: (batch: EncodedBatch) => EncodedBatch): Sequencer {
  const submit = sequencer.submit.bind(sequencer);
  sequencer.submit = (batch) => submit(alter(batch));
  return sequencer;
}

/** Of every third certificate of an instance the row is written and something else recorded. */
function dropper(): (batch: EncodedBatch) => EncodedBatch {
  let seen = 0;
  return (batch) => {
    const at = batch.leaves.findIndex(({ entry }) => isIssueToInstance(Buffer.from(entry)));
    if (at === -1 || ++seen % 3 !== 0) return batch;
    const nothing = { type: 'access.refused', subjects: [], body: { count: 1 } };
    const leaf = encodeLeaf(nothing, { time: Date.now(), random: systemRandom() });
    return { ...batch, leaves: batch.leaves.with(at, leaf) };
  };
}

function isIssueToInstance(entry: Buffer): boolean {
  return entry.includes('"type":"certificate.issued"') && entry.includes('"instance:');
}

/** Join tokens are neither looked at under the lock nor counted. */
function withoutTokenCheck(batch: EncodedBatch): EncodedBatch {
  const isAboutToken = ({ sql }: { readonly sql: string }): boolean => /join_token.*used/.test(sql);
  return {
    ...batch,
    checks: batch.checks.filter((check) => !isAboutToken(check)),
    writes: batch.writes.filter((write) => !isAboutToken(write) || write.sql.startsWith('INSERT')),
  };
}
