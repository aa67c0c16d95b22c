import type { Reader } from '../db/database.ts';
import { equalBytes } from '../merkle/hash.ts';
import { type NoteKey, renameKey } from '../merkle/note-key.ts';
import type { Anchor } from './anchor.ts';
import type { AnchoredBatch } from './anchor-record.ts';
import type { IndexCheck, Report } from './index-check.ts';
import { readEntry } from './store.ts';
import type { LogRow } from './verify-logs.ts';

/** `ledger_anchored` names leaves that exist, each once, and every revocation of a certificate is among them. */
export function anchoredCheck(reader: Reader, size: number): IndexCheck {
  /** The row that covers, or is next after, the entries now looked at. */
  let row: { first: number; end: number } | undefined;
  const rowAt = async (leaf: number): Promise<typeof row> => {
    if (row !== undefined && row.end > leaf) return row;
    const found = await reader.get(
      'SELECT first_leaf, leaves FROM ledger_anchored WHERE first_leaf >= ? ORDER BY first_leaf LIMIT 1',
      [row?.end ?? 0],
    );
    const first = found === undefined ? Number.POSITIVE_INFINITY : (found['first_leaf'] as number);
    row = { first, end: first + ((found?.['leaves'] as number | undefined) ?? 0) };
    return row;
  };
  return {
    name: 'ledger_anchored',
    async entries(events, report) {
      for (const { leaf, type } of events) {
        if (type !== 'certificate.revoked' && type !== 'domain.revoked') continue;
        let at = await rowAt(leaf);
        while (at!.end <= leaf) at = await rowAt(leaf);
        if (at!.first > leaf) report(`entry ${leaf}`, 'revokes a certificate, but is not marked for the anchor');
      }
    },
    async finish(report) {
      const overlapping = await reader.get(
        'SELECT a.first_leaf FROM ledger_anchored a JOIN ledger_anchored b ' +
          'ON b.first_leaf > a.first_leaf AND b.first_leaf < a.first_leaf + a.leaves LIMIT 1',
      );
      const outside = await reader.get(
        'SELECT first_leaf FROM ledger_anchored WHERE first_leaf < 0 OR leaves < 1 OR first_leaf + leaves > ? LIMIT 1',
        [size],
      );
      if (overlapping !== undefined) report('ledger_anchored', 'names a leaf twice');
      if (outside !== undefined) report('ledger_anchored', 'names leaves that do not exist');
    },
  };
}

interface AnchoredLog {
  readonly reader: Reader;
  readonly logs: readonly LogRow[];
  readonly keys: readonly [NoteKey, NoteKey];
  readonly report: Report;
  /** Rows from this leaf on are not missed. Absent: all are. */
  readonly before?: number | undefined;
}

/**
 * Every line of the anchor is a signed record; what it holds of entries that the database has stands there likewise; and
 * every row of `ledger_anchored` is in it.
 */
export async function verifyAnchorRecords(anchor: Anchor, log: AnchoredLog): Promise<void> {
  const { reader, logs, keys, report, before = Number.MAX_SAFE_INTEGER } = log;
  const found = new Set<number>();
  let bad = 0;
  const records = anchor.records(
    (origin) => renameKey(keys[0], origin),
    () => bad++,
  );
  for await (const { origin, batches } of records) {
    const at = logs.findIndex((known) => known.origin === origin);
    // What a log held that was lost from here on was recorded again by the next one.
    const lostFrom = logs[at + 1]?.firstLeaf ?? Number.POSITIVE_INFINITY;
    for (const batch of batches) {
      if (at < 0) report('anchor', `knows an entry ${batch.first} of a log of which there is no row`);
      else if (batch.first < lostFrom && !found.has(batch.first)) await compareBatch(reader, batch, report);
      if (batch.first < lostFrom) found.add(batch.first);
    }
  }
  if (bad > 0) report('anchor', `has ${bad} lines that are no signed records`);
  const row = await reader.get('SELECT COUNT(*) AS number_of_rows FROM ledger_anchored WHERE first_leaf < ?', [before]);
  const rows = Number(row!['number_of_rows']);
  const held = [...found].filter((first) => first < before).length;
  if (rows !== held) report('anchor', `holds ${held} batches where the database has ${rows}`);
}

async function compareBatch(reader: Reader, { first, entries }: AnchoredBatch, report: Report): Promise<void> {
  const row = await reader.get('SELECT leaves FROM ledger_anchored WHERE first_leaf = ?', [first]);
  if (row?.['leaves'] !== entries.length) report('anchor', `knows a batch at entry ${first} that is not marked so`);
  for (const [i, entry] of entries.entries()) {
    const stored = await readEntry(reader, first + i);
    if (stored === undefined) report('anchor', `knows an entry ${first + i} that is not stored`);
    else if (!equalBytes(stored, entry)) report('anchor', `knows another entry ${first + i} than the stored one`);
  }
}
