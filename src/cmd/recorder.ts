import { replayEnds, voidOpen } from '../approval/replay.ts';
import { withdrawAllTokens } from '../attest/token/store.ts';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { aboveLostSequences } from '../ca/domain/domain.ts';
import { CERTIFICATES } from '../ca/index/certificates.ts';
import type { Database } from '../db/database.ts';
import { PartitionWriter } from '../db/partition-writer.ts';
import { Anchor } from '../ledger/anchor.ts';
import { type EpochCell, epochCell } from '../ledger/epoch.ts';
import type { LedgerKeys } from '../ledger/log-signer.ts';
import type { LogOptions } from '../ledger/log-state.ts';
import { Sequencer } from '../ledger/sequencer.ts';
import type { startLog } from '../ledger/start-log.ts';
import { replayRevocations } from '../revocation/replay.ts';
import { replayFederations } from '../spiffe/federation.ts';
import type { Config } from './config/config.ts';

export interface RecorderParts {
  readonly config: Config;
  /** Open for writing, migrated. Stays the caller's to close. */
  readonly database: Database;
  readonly ledgerKeys: LedgerKeys;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Shared with the threads that read the epoch. Absent: this process alone. */
  readonly epoch?: EpochCell;
  /** `startLog`, where there may be no log yet. */
  readonly start?: typeof startLog;
}

/** What any process needs to append to the log: options that the ledger's own functions take. */
export async function logOptions(parts: RecorderParts): Promise<LogOptions & { readonly anchor: Anchor }> {
  const { config, database, ledgerKeys, clock, log } = parts;
  const revoked = replayRevocations(database);
  return {
    database,
    keys: ledgerKeys,
    partitions: new PartitionWriter(database.engine, [CERTIFICATES], clock),
    clock,
    anchor: await Anchor.open(config.anchor, log),
    async replay(events) {
      const { checks, writes } = await revoked(events);
      return { checks, writes: [...writes, ...replayEnds(events), ...replayFederations(events)] };
    },
    distrust: (now) => [...withdrawAllTokens(now), ...voidOpen(now), ...aboveLostSequences(now)],
  };
}

/** Replicas on machines whose clocks are further apart would see each other's entries in the future. */
export const CLOCK_OFF_MS = 10_000;

/** Opens the sequencer over a database: in the writer thread of a server, or in an administrator's command. */
export async function openRecorder(parts: RecorderParts): Promise<Sequencer> {
  const { config, random, log, epoch = epochCell(), start } = parts;
  const options = await logOptions(parts);
  await start?.({ ...options, trustDomain: config.trustDomain, random });
  return Sequencer.open({ ...options, random, epoch, log, limits: { clockOff: CLOCK_OFF_MS } });
}
