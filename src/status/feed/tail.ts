import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import type { Reader, Row } from '../../db/database.ts';
import type { EpochCell } from '../../ledger/epoch.ts';
import { feedEffect } from '../../ledger/feed.ts';
import type { FeedEntry } from '../../wire/feed.ts';
import { ALSO_MS } from '../../wire/feed-events.ts';
import { parseCertificate } from '../../x509/certificate.ts';
import { findExtension } from '../../x509/extension.ts';
import { decodeSubjectKeyIdentifier, SUBJECT_KEY_IDENTIFIER } from '../../x509/extensions/subject-key-identifier.ts';
import { fallingWith } from './falling.ts';

/** Entries that stay in memory for who comes back, unless told otherwise. */
const KEPT = 8192;
/** Rows of one read. */
const PAGE = 1000;
/** How long at most until the table is looked at, whether the epoch has moved or not. */
const LOOK_MS = 1000;

const COLUMNS = 'SELECT leaf, act, type, at, expires_at, subjects FROM revocation_feed';
const AFTER = `${COLUMNS} WHERE leaf > ? ORDER BY leaf LIMIT ?`;
const LATEST = `${COLUMNS} ORDER BY leaf DESC LIMIT ?`;
const PLACE = 'SELECT h.log, f.leaf AS floor FROM ledger_head h, revocation_feed_floor f WHERE h.id = 1 AND f.id = 1';

export interface TailParts {
  readonly reader: Reader;
  readonly epoch: EpochCell;
  readonly log: Log;
  readonly clock: Clock;
  /** Told of new entries, in order, each once, and of the position that they are all that follows. */
  readonly onEntries: (entries: readonly FeedEntry[], after: number) => void;
  readonly kept?: number;
}

/**
 * Follows the table of the feed for one thread: reads it when the epoch moves, once for all subscribers, and keeps the
 * newest entries. Rows become visible in the order of their positions, because every commit is made under the lock of
 * the log's head.
 */
export class FeedTail {
  readonly #parts: TailParts;
  readonly #most: number;
  #kept: FeedEntry[] = [];
  #log = 0;
  /** Everything after this is kept. */
  #from = 0;
  #position = 0;
  #epoch = -1;
  #closed = false;
  #close: () => void = () => undefined;
  readonly #closing = new Promise<void>((resolve) => (this.#close = resolve));
  #running: Promise<void> = Promise.resolve();

  private constructor(parts: TailParts) {
    this.#parts = parts;
    this.#most = parts.kept ?? KEPT;
  }

  /** Reads what is there and follows from then on. */
  static async open(parts: TailParts): Promise<FeedTail> {
    const tail = new FeedTail(parts);
    const { reader, epoch } = parts;
    const seen = epoch.current();
    const [place, rows] = await Promise.all([reader.get(PLACE), reader.all(LATEST, [tail.#most])]);
    tail.#log = place?.['log'] as number;
    tail.#kept = (await tail.#withFalling(await entriesOf(reader, rows))).reverse();
    tail.#from = rows.length < tail.#most ? ((place?.['floor'] as number) ?? 0) : tail.#kept[0]!.position - 1;
    tail.#position = tail.#kept.at(-1)?.position ?? 0;
    tail.#epoch = seen;
    tail.#running = tail.#follow();
    return tail;
  }

  /** Number of the log. */
  get log(): number {
    return this.#log;
  }

  /** Of the latest entry. */
  get position(): number {
    return this.#position;
  }

  /** The epoch up to which everything has been read. */
  get epoch(): number {
    return this.#epoch;
  }

  /**
   * Everything that was committed until then has been read: milliseconds, 0 while that is unknown. Does not move while the
   * database cannot be reached.
   */
  asOf(): number {
    const { epoch } = this.#parts;
    const confirmed = epoch.confirmedAt();
    if (epoch.current() === this.#epoch) this.#asOf = Math.max(this.#asOf, confirmed);
    return this.#asOf;
  }

  #asOf = 0;

  /** What follows a position, or undefined when that is not in memory any more. */
  after(position: number): readonly FeedEntry[] | undefined {
    if (position < this.#from) return undefined;
    let at = this.#kept.length;
    while (at > 0 && this.#kept[at - 1]!.position > position) at--;
    // What fell with those that are older is named by entries of its own.
    const since = this.#parts.clock.now() - ALSO_MS;
    return this.#kept.slice(at).map((entry) => (entry.also !== undefined && entry.at < since ? alone(entry) : entry));
  }

  /** One page of what is in force after a position, from the table. */
  async page(position: number, limit: number): Promise<{ floor: number; entries: FeedEntry[]; complete: boolean }> {
    const { reader } = this.#parts;
    const rows = await reader.all(AFTER, [position, limit]);
    // Read after the rows: what has left meanwhile may be missing from them.
    const place = await reader.get(PLACE);
    const entries = await this.#withFalling(await entriesOf(reader, rows));
    return { floor: place?.['floor'] as number, entries, complete: rows.length < limit };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#close();
    await this.#running;
  }

  async #follow(): Promise<void> {
    const { epoch, log } = this.#parts;
    while (!this.#closed) {
      await Promise.race([epoch.moved(this.#epoch, LOOK_MS), this.#closing]);
      if (this.#closed) return;
      try {
        await this.#read();
      } catch (error) {
        log.warn('feed not followed', { error: (error as Error).message });
        await new Promise((resolve) => setTimeout(resolve, 200).unref());
      }
    }
  }

  /** The same entries; the young ones with what falls with them. */
  async #withFalling(entries: readonly FeedEntry[]): Promise<FeedEntry[]> {
    const { reader, clock } = this.#parts;
    const since = clock.now() - ALSO_MS;
    const all: FeedEntry[] = [];
    for (const entry of entries) {
      const also = entry.effect === 'hold' && entry.at >= since ? await fallingWith(reader, entry) : [];
      all.push(also.length === 0 ? entry : { ...entry, also });
    }
    return all;
  }

  async #read(): Promise<void> {
    const { reader, epoch, onEntries } = this.#parts;
    const seen = epoch.current();
    for (;;) {
      const rows = await reader.all(AFTER, [this.#position, PAGE]);
      if (rows.length > 0) {
        const entries = await this.#withFalling(await entriesOf(reader, rows));
        const after = this.#position;
        this.#position = entries.at(-1)!.position;
        this.#kept.push(...entries);
        if (this.#kept.length > 2 * this.#most) {
          this.#kept = this.#kept.slice(-this.#most);
          this.#from = this.#kept[0]!.position - 1;
        }
        onEntries(entries, after);
      }
      if (rows.length < PAGE) break;
    }
    this.#epoch = seen;
  }
}

function alone({ also: _, ...entry }: FeedEntry): FeedEntry {
  return entry;
}

const AUTHORITY = 'authority:';

/** Relying parties know an authority by its key, which the certificates below it name. */
async function entriesOf(reader: Reader, rows: readonly Row[]): Promise<FeedEntry[]> {
  const entries: FeedEntry[] = [];
  for (const row of rows) {
    const entry = entryOf(row);
    const issuers: string[] = [];
    for (const subject of entry.subjects) {
      if (!subject.startsWith(AUTHORITY)) continue;
      const id = subject.slice(AUTHORITY.length);
      const found = await reader.get('SELECT certificate FROM authority WHERE id = ?', [id]);
      const key = found === undefined ? undefined : keyOf(found['certificate'] as Uint8Array);
      if (key !== undefined) issuers.push(`issuer:${Buffer.from(key).toString('hex')}`);
    }
    entries.push(issuers.length === 0 ? entry : { ...entry, subjects: [...entry.subjects, ...issuers] });
  }
  return entries;
}

function keyOf(certificate: Uint8Array): Uint8Array | undefined {
  const extension = findExtension(parseCertificate(certificate).extensions, SUBJECT_KEY_IDENTIFIER);
  return extension === undefined ? undefined : decodeSubjectKeyIdentifier(extension.value);
}

function entryOf(row: Row): FeedEntry {
  const type = row['type'] as string;
  return {
    position: row['leaf'] as number,
    act: row['act'] as number,
    effect: feedEffect(type) ?? 'stop',
    type,
    at: row['at'] as number,
    expires_at: row['expires_at'] as number,
    subjects: JSON.parse(row['subjects'] as string) as string[],
  };
}
