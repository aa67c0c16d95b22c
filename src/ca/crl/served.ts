import { setTimeout as pause } from 'node:timers/promises';
import { WritError } from '../../base/error.ts';
import type { Reader } from '../../db/database.ts';
import { readServedList, type ServedList } from './list.ts';
import { type ListParts, shardList } from './publish-shard.ts';

/** Lists that a thread keeps in memory; a shard's has at most 200 kB, and its delta mostly little. */
const KEPT = 64;
/** Milliseconds between two looks whether the list of an authority was signed. */
const LOOK_MS = 25;

/**
 * The lists as one thread hands them out: of shards and authorities, never one whose time is past. Those of shards are
 * signed here when something is missing in them; those of authorities are what the main thread of a server has signed.
 */
export class ServedLists {
  readonly #parts: ListParts;
  readonly #kept = new Map<string, ServedList>();
  readonly #asked = new Map<string, Promise<ServedList | undefined>>();

  constructor(parts: ListParts) {
    this.#parts = parts;
  }

  /** The list of a shard, with its delta; undefined for an id that is none. Rejects with `unavailable`. */
  shard(id: string): Promise<ServedList | undefined> {
    // Those who ask at once wait for one signature.
    let asked = this.#asked.get(id);
    if (asked === undefined) {
      asked = this.#shard(id).finally(() => this.#asked.delete(id));
      this.#asked.set(id, asked);
    }
    return asked;
  }

  /**
   * The list of an issuing authority; undefined when there is none that is good now. Where there has to be one, as after a
   * server slept past the end of the last, this waits so many milliseconds for it, and rejects with `unavailable` then.
   */
  async authority(id: string, wait = 0): Promise<ServedList | undefined> {
    const found = await this.#authority(id);
    if (found !== undefined || wait === 0) return found;
    let asked = this.#asked.get(id);
    if (asked === undefined) {
      asked = this.#awaited(id, wait).finally(() => this.#asked.delete(id));
      this.#asked.set(id, asked);
    }
    return asked;
  }

  async #authority(id: string): Promise<ServedList | undefined> {
    const { reader, clock } = this.#parts;
    const row = await reader.get('SELECT number, next_update FROM crl_list WHERE id = ?', [id]);
    if (row === undefined || (row['next_update'] as number) <= clock.now()) return undefined;
    const kept = this.#kept.get(id);
    if (kept?.number === row['number']) return kept;
    return this.#keep(id, await readServedList(reader, id, kept));
  }

  async #awaited(id: string, wait: number): Promise<ServedList | undefined> {
    const { reader, clock } = this.#parts;
    if (!(await listedAuthorities(reader, clock.now())).includes(id)) return undefined;
    for (const until = performance.now() + wait; performance.now() < until; ) {
      await pause(LOOK_MS);
      const found = await this.#authority(id);
      if (found !== undefined) return found;
    }
    throw new WritError('unavailable', 'The list is being signed.', { remedy: 'Ask again in a moment.' });
  }

  async #shard(id: string): Promise<ServedList | undefined> {
    const kept = this.#kept.get(id);
    const list = await shardList(id, this.#parts, kept);
    return list === kept ? list : this.#keep(id, list);
  }

  #keep(id: string, list: ServedList | undefined): ServedList | undefined {
    this.#kept.delete(id);
    if (list === undefined) return undefined;
    if (this.#kept.size >= KEPT) this.#kept.delete(this.#kept.keys().next().value!);
    this.#kept.set(id, list);
    return list;
  }
}

/** Authorities whose leaves may still be valid: each has a list of its own. Ids. */
export async function listedAuthorities(reader: Reader, now: number): Promise<string[]> {
  const rows = await reader.all(
    "SELECT id FROM authority WHERE kind = 'issuing' AND state <> 'next' AND key_id IS NOT NULL AND not_after > ?",
    [now],
  );
  return rows.map((row) => row['id'] as string);
}
