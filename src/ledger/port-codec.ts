import { type ErrorCode, WritError } from '../base/error.ts';
import type { Check, LeafIndex, Write } from '../db/batch.ts';
import type { SqlValue } from '../db/database.ts';
import { HASH_SIZE } from '../merkle/hash.ts';
import type { EncodedBatch } from './encode.ts';
import type { Leaf } from './entry.ts';

/**
 * Batches on their way through a MessagePort. Structured clone of the objects themselves costs the writer 7.5 µs a
 * batch; of one flat list, one buffer and each SQL text once, 2 µs.
 *
 * In the list stand, for each batch and in the order of its type's members, counts and values. Two values that no SQL
 * value can be announce what is not plain: `undefined` and a length stand for the next bytes of `bytes`, `true` and a
 * number for a leaf index.
 */
export interface Packed {
  /** Texts that get the next free numbers of the dictionary, which lives as long as the port. */
  readonly texts: readonly string[];
  readonly items: readonly Item[];
  readonly bytes: Uint8Array<ArrayBuffer>;
}

type Item = SqlValue | undefined | boolean;

/** Stands for the epoch of a batch that says none: none is negative. */
const NOT_KNOWN = -1;

/** Texts beyond this many are sent as they are: SQL that is built anew each time must not fill the memory. */
const DICTIONARY = 2048;

/** The sending end: one for each port, because it knows which texts the other end has. */
export class Packer {
  readonly #numbers = new Map<string, number>();
  #texts: string[] = [];
  #items: Item[] = [];
  #chunks: Uint8Array[] = [];

  pack(batches: readonly EncodedBatch[]): Packed {
    this.#items.push(batches.length);
    for (const batch of batches) this.#batch(batch);
    const packed = { texts: this.#texts, items: this.#items, bytes: join(this.#chunks) };
    this.#texts = [];
    this.#items = [];
    this.#chunks = [];
    return packed;
  }

  #batch({ checks, writes, leaves, bumpsEpoch, anchored, under = NOT_KNOWN }: EncodedBatch): void {
    const items = this.#items;
    items.push((bumpsEpoch ? 1 : 0) + (anchored ? 2 : 0), under, checks.length);
    for (const { sql, params, want, refusal, reason, standing } of checks) {
      this.#text(sql);
      this.#params(params);
      items.push((want === 'present' ? 1 : 0) + (standing ? 2 : 0));
      this.#text(refusal);
      this.#text(reason);
    }
    items.push(writes.length);
    for (const { sql, params, partition } of writes) {
      this.#text(sql);
      this.#params(params);
      if (partition === undefined) items.push(false);
      else items.push(true, partition.family, partition.at, partition.expires);
    }
    items.push(leaves.length);
    for (const { entry, hash, indexed } of leaves) {
      this.#chunks.push(entry, hash);
      items.push(entry.length, indexed.length, ...indexed);
    }
  }

  #params(params: readonly (SqlValue | LeafIndex)[]): void {
    this.#items.push(params.length);
    for (const param of params) {
      if (param instanceof Uint8Array) {
        this.#chunks.push(param);
        this.#items.push(undefined, param.length);
      } else if (typeof param === 'object' && param !== null) {
        this.#items.push(true, param.leaf);
      } else {
        this.#items.push(param);
      }
    }
  }

  #text(text: string): void {
    let number = this.#numbers.get(text);
    if (number === undefined && this.#numbers.size < DICTIONARY) {
      number = this.#numbers.size;
      this.#numbers.set(text, number);
      this.#texts.push(text);
    }
    this.#items.push(number ?? text);
  }
}

/** The receiving end of one port. */
export class Unpacker {
  readonly #texts: string[] = [];
  #items: readonly Item[] = [];
  #bytes: Uint8Array = new Uint8Array();
  #item = 0;
  #byte = 0;

  unpack({ texts, items, bytes }: Packed): EncodedBatch[] {
    this.#texts.push(...texts);
    this.#items = items;
    this.#bytes = bytes;
    this.#item = 0;
    this.#byte = 0;
    const batches = this.#list(() => this.#batch());
    if (this.#item !== items.length || this.#byte !== bytes.length) {
      throw new WritError('internal', 'the batches from another thread do not end where they should');
    }
    return batches;
  }

  #batch(): EncodedBatch {
    const flags = this.#next() as number;
    const under = this.#next() as number;
    return {
      ...(under === NOT_KNOWN ? {} : { under }),
      checks: this.#list((): Check => {
        const [sql, params] = [this.#text(), this.#params() as SqlValue[]];
        const marks = this.#next() as number;
        const want = (marks & 1) !== 0 ? 'present' : 'absent';
        const check = { sql, params, want, refusal: this.#text() as ErrorCode, reason: this.#text() } as const;
        return (marks & 2) === 0 ? check : { ...check, standing: true };
      }),
      writes: this.#list((): Write => {
        const [sql, params] = [this.#text(), this.#params()];
        if (this.#next() !== true) return { sql, params };
        const [family, at] = [this.#next() as string, this.#next() as number];
        return { sql, params, partition: { family, at, expires: this.#next() as number } };
      }),
      leaves: this.#list((): Leaf => {
        const entry = this.#chunk(this.#next() as number);
        return { entry, hash: this.#chunk(HASH_SIZE), indexed: this.#list(() => this.#next() as string) };
      }),
      bumpsEpoch: (flags & 1) !== 0,
      anchored: (flags & 2) !== 0,
    };
  }

  #params(): (SqlValue | LeafIndex)[] {
    return this.#list(() => {
      const item = this.#next();
      if (item === undefined) return this.#chunk(this.#next() as number);
      if (item === true) return { leaf: this.#next() as number };
      return item as SqlValue;
    });
  }

  #text(): string {
    const item = this.#next();
    return typeof item === 'number' ? this.#texts[item]! : (item as string);
  }

  #chunk(length: number): Uint8Array {
    const chunk = this.#bytes.subarray(this.#byte, this.#byte + length);
    this.#byte += length;
    return chunk;
  }

  #list<T>(read: () => T): T[] {
    const count = this.#next() as number;
    const list: T[] = [];
    for (let i = 0; i < count; i++) list.push(read());
    return list;
  }

  #next(): Item {
    return this.#items[this.#item++];
  }
}

function join(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  // Of exactly this size and of its own memory, because it is transferred.
  const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
