/**
 * Stands in for `src/cmd/recorder.ts` and breaks one promise, which the torture has to notice. `WRIT_SABOTAGE` says
 * which; without it everything is as it should be.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { systemRandom } from '../../../src/base/random.ts';
import { logOptions, openRecorder as openHonest, type RecorderParts } from '../../../src/cmd/recorder.ts';
import type { Database, Transaction } from '../../../src/db/database.ts';
import type { EncodedBatch } from '../../../src/ledger/encode.ts';
import { encodeLeaf } from '../../../src/ledger/entry.ts';
import type { Sequencer } from '../../../src/ledger/sequencer.ts';

export { logOptions };

/** How long a commit that was answered already keeps everybody in the dark. */
const LATE_MS = 40;

export async function openRecorder(parts: RecorderParts): Promise<Sequencer> {
  switch (process.env['WRIT_SABOTAGE']) {
    case 'answer-before-commit':
      return openHonest({ ...parts, database: answersEarly(parts.database) });
    case 'drop-leaf':
      return alters(await openHonest(parts), withoutCertificate);
    case 'reuse-token':
      return alters(await openHonest(parts), withoutTokenCheck);
    default:
      return openHonest(parts);
  }
}

/** Gives the result of a transaction before it has committed. */
function answersEarly(database: Database): Database {
  return {
    engine: database.engine,
    all: (sql, params) => database.all(sql, params),
    get: (sql, params) => database.get(sql, params),
    transaction: <T>(work: (tx: Transaction) => Promise<T>) =>
      new Promise<T>((resolve, reject) => {
        database
          .transaction(async (tx) => {
            resolve(await work(tx));
            await pause(LATE_MS);
          })
          .catch(reject);
      }),
    snapshot: (read) => database.snapshot(read),
    close: () => database.close(),
  };
}

function alters(sequencer: Sequencer, alter: (batch: EncodedBatch) => EncodedBatch): Sequencer {
  const submit = sequencer.submit.bind(sequencer);
  sequencer.submit = (batch) => submit(alter(batch));
  return sequencer;
}

/** Of some certificates the row is written and something else recorded. */
function withoutCertificate(batch: EncodedBatch): EncodedBatch {
  const isCertificate = (entry: Uint8Array): boolean => Buffer.from(entry).includes('"type":"certificate.issued"');
  const at = batch.leaves.findIndex(({ entry }) => isCertificate(entry));
  if (at === -1 || Math.random() > 0.1) return batch;
  const nothing = { type: 'access.refused', subjects: [], body: { count: 1 } };
  const leaf = encodeLeaf(nothing, { time: Date.now(), random: systemRandom() });
  return { ...batch, leaves: batch.leaves.with(at, leaf) };
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
