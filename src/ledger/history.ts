import type { Reader } from '../db/database.ts';
import { decodeEntry, type RecordedEvent } from './entry.ts';
import { readEntry } from './store.ts';

/** The event at a leaf, or undefined when there is none (yet). Throws `ledger_corrupt` for what Writ did not write. */
export async function readEvent(reader: Reader, leaf: number): Promise<RecordedEvent | undefined> {
  const entry = await readEntry(reader, leaf);
  return entry === undefined ? undefined : decodeEntry(leaf, entry);
}

export interface SubjectPage {
  /** `kind:id`, e.g. `agent:planner`. */
  readonly subject: string;
  /** Only leaves after this one. */
  readonly after?: number;
  /** At most so many, 1 … 1000. */
  readonly limit: number;
}

/**
 * Events that speak of a subject, oldest first. Issues of certificates are not among them: their rows lead to their
 * leaves (`isIndexedBySubject`).
 */
export async function eventsOf(reader: Reader, { subject, after = -1, limit }: SubjectPage): Promise<RecordedEvent[]> {
  const rows = await reader.all(
    'SELECT s.leaf, e.entry FROM ledger_subject s JOIN ledger_entry e ON e.leaf = s.leaf ' +
      'WHERE s.subject = ? AND s.leaf > ? ORDER BY s.leaf LIMIT ?',
    [subject, after, limit],
  );
  return rows.map((row) => decodeEntry(row['leaf'] as number, row['entry'] as Uint8Array));
}
