import { WritError } from '../base/error.ts';
import { newBatch } from '../db/batch.ts';
import { encodeCrlEntries, type RevokedCertificate } from '../x509/crl.ts';
import { reasonOfCode } from '../x509/extensions/reason-code.ts';
import { nextCrlNumber, signCrl } from './crl.ts';
import { isDue, nextMarks, pushList, readListState, SCHEDULE } from './crl-list.ts';
import { LIFETIMES } from './lifetime.ts';
import { wholeSecond } from './prepare.ts';
import type { ListParts } from './publish-shard.ts';
import { HELD, RELEASED, REVOKED_COLUMNS, type RevokedRow, revokedOf } from './revoked.ts';

/** How often another process may be quicker. */
const TRIES = 8;

/** Rows read at a time. */
const PAGE = 2000;

/**
 * The list about all that one authority signed, for servers that load a file. Its entries are kept encoded, and each
 * list adds what was revoked since; what has expired is left out when they are read anew, at most twice a day.
 */
export class FullList {
  readonly #issuer: string;
  readonly #parts: ListParts;
  #entries = new Entries();
  #sequence = 0;
  /** Of the list on schedule since which the entries are collected. */
  #since = Number.NEGATIVE_INFINITY;

  /** `issuer`: id of an issuing authority. */
  constructor(issuer: string, parts: ListParts) {
    this.#issuer = issuer;
    this.#parts = parts;
  }

  /**
   * Signs and records a list when there is none, it is due, or something was revoked that is not in it. Gives whether
   * this process did. One call at a time.
   */
  async publish(): Promise<boolean> {
    for (let tries = 0; tries < TRIES; tries++) {
      const outcome = await this.#publish();
      if (outcome !== 'quicker') return outcome === 'done';
    }
    throw new WritError('unavailable', 'The list keeps changing.', { remedy: 'It is tried again in a moment.' });
  }

  /** `quicker`: another process was. */
  async #publish(): Promise<'done' | 'nothing' | 'quicker'> {
    const { reader, commit, clock } = this.#parts;
    const now = clock.now();
    const state = await readListState(reader, this.#issuer);
    const latest = await this.#latest();
    const onSchedule = state === undefined || isDue(state, now);
    if (!onSchedule && latest <= state.sequence) return 'nothing';
    const issuer = await this.#parts.issuer(this.#issuer);
    if (issuer === undefined) return 'nothing';
    const since = state?.scheduled.at ?? 0;
    // RFC 5280 §3.3: what expired leaves once it was on a list of the schedule that was signed after that.
    if (onSchedule || this.#since < since - 2 * SCHEDULE) this.#forget(since);
    await this.#follow();
    const sequence = Math.max(latest, this.#sequence);
    const number = nextCrlNumber(state?.number, now);
    const entries = { revoked: this.#entries.encoded(), latest: this.#entries.latest };
    const crl = await signCrl(issuer, { number, lifetime: LIFETIMES.leafCrl, ...entries, now });
    const marks = nextMarks(state, { number, sequence, at: crl.thisUpdate, onSchedule });
    const batch = newBatch();
    const refreshAt = marks.scheduled.at + SCHEDULE;
    pushList(batch, state, { id: this.#issuer, issuer: this.#issuer, crl, sequence, refreshAt, ...marks });
    const answer = await commit(batch);
    if (!answer.committed && answer.refusal !== 'conflict') throw new WritError(answer.refusal, answer.reason);
    return answer.committed ? 'done' : 'quicker';
  }

  #forget(since: number): void {
    this.#entries = new Entries();
    this.#sequence = 0;
    this.#since = since;
  }

  async #latest(): Promise<number> {
    const sql = 'SELECT MAX(sequence) AS latest FROM revoked WHERE issuer = ?';
    return ((await this.#parts.reader.get(sql, [this.#issuer]))?.['latest'] as number | null) ?? 0;
  }

  /** Takes over what changed since the last time. */
  async #follow(): Promise<void> {
    const sql = `SELECT ${REVOKED_COLUMNS} FROM revoked WHERE issuer = ? AND sequence > ? ORDER BY sequence LIMIT ${PAGE}`;
    for (;;) {
      const rows = await this.#parts.reader.all(sql, [this.#issuer, this.#sequence]);
      for (const row of rows.map(revokedOf)) {
        this.#sequence = row.sequence;
        if (row.expiresAt >= this.#since) this.#entries.change(row);
      }
      if (rows.length < PAGE) return;
    }
  }
}

/** Encoded entries, one after the other. Only what is held can ever be taken out again. */
class Entries {
  /** Milliseconds: the time of the latest. */
  latest = 0;
  #octets = new Uint8Array(4096);
  #length = 0;
  readonly #held = new Map<string, { readonly at: number; readonly length: number }>();

  change(row: RevokedRow): void {
    const serial = Buffer.from(row.serial).toString('latin1');
    this.#remove(serial);
    if (row.reason === RELEASED) return;
    this.latest = Math.max(this.latest, row.at);
    const entry = encodeCrlEntries([entryOf(row)]);
    if (row.reason === HELD) this.#held.set(serial, { at: this.#length, length: entry.length });
    if (this.#length + entry.length > this.#octets.length) {
      const larger = new Uint8Array(Math.max(this.#octets.length * 2, entry.length));
      larger.set(this.#octets.subarray(0, this.#length));
      this.#octets = larger;
    }
    this.#octets.set(entry, this.#length);
    this.#length += entry.length;
  }

  encoded(): Uint8Array {
    return this.#octets.subarray(0, this.#length);
  }

  #remove(serial: string): void {
    const place = this.#held.get(serial);
    if (place === undefined) return;
    this.#held.delete(serial);
    const { at, length } = place;
    this.#octets.copyWithin(at, at + length, this.#length);
    this.#length -= length;
    for (const [other, moved] of this.#held) {
      if (moved.at > at) this.#held.set(other, { at: moved.at - length, length: moved.length });
    }
  }
}

function entryOf({ serial, at, reason }: RevokedRow): RevokedCertificate {
  return { serial, revokedAt: wholeSecond(at), reason: reasonOfCode(reason) ?? 'unspecified' };
}
