import type { Client } from '../../src/http/client.ts';
import { type Checkpoint, parseCheckpoint } from '../../src/merkle/checkpoint.ts';
import { equalBytes } from '../../src/merkle/hash.ts';
import { parseNote, verifyNote } from '../../src/merkle/note.ts';
import { type NoteKey, parseVerifierKey } from '../../src/merkle/note-key.ts';
import { consistencyRanges, rangeHashes, verifyConsistency } from '../../src/merkle/proof.ts';
import { tilePath } from '../../src/merkle/tile.ts';
import { nodesFromTiles } from '../../src/merkle/tile-reader.ts';
import type { Tally } from './tally.ts';

/**
 * An outsider who follows the log: keeps every checkpoint that anybody was shown and demands that each later one continues
 * it, by proofs that are made here from public tiles.
 */
export class Monitor {
  /** The ledger's keys, taken once, when the installation is made. */
  readonly keys: readonly NoteKey[];
  readonly #tally: Tally;
  /** The largest checkpoint with both signatures. */
  #latest: Checkpoint | undefined;
  /** Others that were seen and no such checkpoint covers yet, by size. */
  readonly #open = new Map<number, Checkpoint>();

  static async meet(client: Client, tally: Tally): Promise<Monitor> {
    const text = (await client.send({ path: '/ledger/keys' })).body.toString('utf8');
    return new Monitor(text.split('\n').filter(Boolean).map(parseVerifierKey), tally);
  }

  private constructor(keys: readonly NoteKey[], tally: Tally) {
    this.keys = keys;
    this.#tally = tally;
  }

  get origin(): string {
    return this.keys[0]!.name;
  }

  /** Takes note of a checkpoint that somebody was shown in a receipt. Its signatures have been verified. */
  saw(checkpoint: Checkpoint): void {
    const known = this.#open.get(checkpoint.size);
    if (known !== undefined && !equalBytes(known.root, checkpoint.root)) {
      this.#tally.violation('two histories', `two roots of ${checkpoint.size} entries were signed`);
    }
    this.#open.set(checkpoint.size, checkpoint);
  }

  /** Fetches the published checkpoint and proves that it continues every one seen before. */
  async look(client: Client): Promise<void> {
    const text = (await client.send({ path: '/ledger/checkpoint' })).body.toString('utf8');
    const note = parseNote(text);
    const signers = verifyNote(note, this.keys);
    const now = parseCheckpoint(note.text);
    if (signers.length !== 2) this.#tally.violation('checkpoint', `is signed by ${signers.length} of two keys`);
    const before = this.#latest;
    if (before !== undefined && now.size < before.size) {
      this.#tally.violation('checkpoint', `${now.size} entries were published after ${before.size}`);
      return;
    }
    const older = [...this.#open.values(), ...(before === undefined ? [] : [before])];
    for (const one of older) {
      if (one.size > now.size) continue;
      await this.#prove(client, one, now);
      this.#open.delete(one.size);
    }
    this.#latest = now;
  }

  async #prove(client: Client, before: Checkpoint, now: Checkpoint): Promise<void> {
    const nodes = nodesFromTiles(now.size, async (level, index, width) => {
      const path = tilePath({ level, index, width });
      return (await client.send({ path: `/ledger/${path}` })).body;
    });
    const proof = await rangeHashes(consistencyRanges(before.size, now.size), nodes);
    this.#tally.proofs++;
    if (!verifyConsistency(before, now, proof)) {
      this.#tally.violation('two histories', `${now.size} entries do not continue the ${before.size} seen before`);
    }
  }
}
