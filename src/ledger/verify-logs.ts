import type { JsonValue } from '../db/batch.ts';
import type { Reader, Row } from '../db/database.ts';
import { formatVerifierKey, type NoteKey, renameKey } from '../merkle/note-key.ts';
import type { RecordedEvent } from './entry.ts';
import type { Head } from './head.ts';
import type { Report } from './index-check.ts';
import { logDomain, logOrigin } from './log-signer.ts';

/** One log of the installation, as its row says. */
export interface LogRow {
  readonly number: number;
  readonly origin: string;
  readonly firstLeaf: number;
  readonly keys: string;
  readonly lost: string;
  /** Set when its `log.started` was found where it should be. */
  begun: boolean;
}

/** The logs, oldest first, after checking what can be checked of the rows alone. */
export async function readLogs(
  reader: Reader,
  head: Head,
  { keys, report }: { readonly keys: readonly NoteKey[]; readonly report: Report },
): Promise<LogRow[]> {
  const rows = await reader.all('SELECT log, origin, first_leaf, keys, lost FROM ledger_log ORDER BY log');
  const logs = rows.map(logRow);
  const domain = logDomain(head.origin);
  for (const { number, origin, keys: stated } of logs) {
    const where = `log ${number}`;
    if (origin !== logOrigin(domain, number)) report(where, 'has an origin that is not its own');
    const given = keys.map((key) => formatVerifierKey(renameKey(key, origin))).join('\n');
    if (stated !== given) report(where, 'names other keys than those that were given');
  }
  if (logs.at(-1)?.number !== head.log) report('head', 'is not of the newest log');
  return logs;
}

function logRow(row: Row): LogRow {
  return {
    number: row['log'] as number,
    origin: row['origin'] as string,
    firstLeaf: row['first_leaf'] as number,
    keys: row['keys'] as string,
    lost: row['lost'] as string,
    begun: false,
  };
}

/** A `log.started` stands exactly where its log's row says, and says the same. */
export function checkStart(event: RecordedEvent, logs: readonly LogRow[], report: Report): void {
  const log = logs.find(({ firstLeaf }) => firstLeaf === event.leaf);
  if (event.type !== 'log.started') return;
  if (log === undefined) {
    report(`entry ${event.leaf}`, 'starts a log of which there is no row');
    return;
  }
  log.begun = true;
  const text = (value: JsonValue | undefined): string =>
    Array.isArray(value) ? value.join('\n') : String(value ?? '');
  const same =
    text(event.body['origin']) === log.origin &&
    text(event.body['keys']) === log.keys &&
    text(event.body['lost']) === log.lost;
  if (!same) report(`log ${log.number}`, 'is not what its first entry says');
}
