/**
 * The writer thread: owns the writing connection and the ledger's keys, and commits what all other threads send. It
 * does nothing else, so that nothing makes a commit wait.
 */
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { parentPort } from 'node:worker_threads';
import { systemClock } from '../../base/clock.ts';
import { systemRandom } from '../../base/random.ts';
import { CERTIFICATES } from '../../ca/index/certificates.ts';
import type { Database } from '../../db/database.ts';
import { dropOldestPartition } from '../../db/partition-purge.ts';
import { epochCell } from '../../ledger/epoch.ts';
import { serveCommits } from '../../ledger/port.ts';
import { openEngine } from '../engine.ts';
import { ledgerSigners } from '../ledger-keys.ts';
import { openLog } from '../log.ts';
import { openRecorder } from '../recorder.ts';
import type { FromWriter, ToWriter, WriterData } from './messages.ts';
import { toMembers } from './thread-error.ts';

const port = parentPort!;
const [data] = (await once(port, 'message')) as [WriterData];
const tell = (message: FromWriter): void => port.postMessage(message);

/** Between two partitions that are dropped, so that commits come first. */
const PURGE_PAUSE_MS = 50;

try {
  await serve();
} catch (error) {
  tell({ kind: 'failed', error: toMembers(error) });
  port.close();
}

async function serve(): Promise<void> {
  const { config, ledgerKeys, epochMemory, commitPorts } = data;
  const log = openLog(config.logLevel, 'writer');
  const database = await openEngine(config, { database: data.database }, { readOnly: false });
  const recorder = await openRecorder({
    config,
    database,
    ledgerKeys: ledgerSigners(ledgerKeys),
    clock: systemClock,
    random: systemRandom(),
    log,
    epoch: epochCell(epochMemory),
  });
  for (const commitPort of commitPorts) serveCommits(commitPort, recorder);
  let purging = Promise.resolve();
  port.on('message', (message: ToWriter) => {
    if (message.kind === 'purge') {
      purging = purging
        .then(() => purge(database, message.before))
        .catch((error: Error) => log.warn('purge failed', { error: error.message }));
      return;
    }
    void stop();
  });
  tell({ kind: 'ready' });

  async function stop(): Promise<void> {
    await recorder.close();
    await purging;
    await database.close();
    tell({ kind: 'stopped' });
    port.close();
  }
}

async function purge(database: Database, before: number): Promise<void> {
  while ((await dropOldestPartition(database, CERTIFICATES.name, before)) !== undefined) await pause(PURGE_PAUSE_MS);
}
