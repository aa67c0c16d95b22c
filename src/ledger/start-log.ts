import type { Clock } from '../base/clock.ts';
import type { Database } from '../db/database.ts';
import { emptyRoot } from '../merkle/hash.ts';
import { formatVerifierKey } from '../merkle/note-key.ts';
import { readHead } from './head.ts';
import { type LedgerKeys, logOrigin, logSigner } from './log-signer.ts';

export interface StartLogOptions {
  readonly database: Database;
  readonly keys: LedgerKeys;
  readonly trustDomain: string;
  readonly clock: Clock;
}

/**
 * Makes the head of an empty first log when there is none; what `init` calls once the schema stands. Its first entry,
 * `log.started`, is committed by the sequencer like any other. Gives the origin.
 */
export async function createLog({ database, keys, trustDomain, clock }: StartLogOptions): Promise<string> {
  return database.transaction(async (tx) => {
    const head = await readHead(tx);
    if (head !== undefined) return head.origin;
    const signer = logSigner(logOrigin(trustDomain, 1), keys);
    const root = emptyRoot();
    await tx.run('INSERT INTO ledger_log (log, origin, first_leaf, keys, lost) VALUES (1, ?, 0, ?, ?)', [
      signer.origin,
      signer.keys.map(formatVerifierKey).join('\n'),
      '',
    ]);
    await tx.run('INSERT INTO ledger_head (id, log, size, root, time, epoch, note) VALUES (1, 1, 0, ?, ?, 0, ?)', [
      root,
      clock.now(),
      await signer.sign(0, root),
    ]);
    return signer.origin;
  });
}
