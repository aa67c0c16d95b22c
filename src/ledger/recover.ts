import { WritError } from '../base/error.ts';
import { readHead } from './head.ts';
import { type LogOptions, type LogState, readLog } from './log-state.ts';
import { findLostTail, isComplete, replayTail } from './lost-tail.ts';

/**
 * Reads the log's state, at start-up and after a commit whose outcome is unknown: one path for both.
 *
 * The anchor is brought up to the database where a crash came between the two. Where the database is behind the anchor,
 * and the anchor holds every entry that is missing, they are appended again byte by byte, which gives the same tree.
 * Otherwise the tail is lost and it rejects with `behind_anchor`. It rejects with `ledger_corrupt` when head, checkpoint
 * and tree do not agree, when the anchor's checkpoint is of another history, or when the head was not signed with these
 * keys.
 */
export async function recover(options: LogOptions): Promise<LogState> {
  const { database, keys, anchor } = options;
  const found = await database.transaction((tx) => readLog(tx, keys));
  if (anchor === undefined) return found;
  const lost = await findLostTail(anchor, database, found);
  if (lost === undefined) {
    await anchor.follow(database, found.signer);
    return found;
  }
  // Another process may have committed and anchored since the head was read. The anchor never leads the database, so
  // it is behind only if the head has not moved.
  const now = await readHead(database);
  if (now === undefined || now.size === found.head.size) {
    if (!isComplete(lost, found)) throw behind(lost.size, found.head.size);
    await replayTail(lost, found, options);
  }
  return recover(options);
}

function behind(known: number, stored: number): WritError {
  return new WritError(
    'behind_anchor',
    `the anchor knows a ledger of ${known} entries, but the database has only ${stored}: an older copy was put in place`,
    {
      remedy:
        'Put the newest database back; if it is lost for good, run "writ ledger new-log", which records the known ' +
        'revocations again and names the checkpoint that was lost.',
    },
  );
}
