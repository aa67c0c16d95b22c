import { setImmediate as turn } from 'node:timers/promises';
import { WritError } from '../../base/error.ts';
import { newBatch } from '../../db/batch.ts';
import { enterSequence, openSequence, readAny } from '../../der/reader.ts';
import { encodeCrlEntries, type RevokedCertificate } from '../../x509/crl.ts';
import { reasonOfCode } from '../../x509/extensions/reason-code.ts';
import { wholeSecond } from '../certificate/prepare.ts';
import { LIFETIMES } from '../lifetime.ts';
import { isDue, nextMarks, pushList, readListState, SCHEDULE } from './list.ts';
import { commonPieces, countPieces, dropOtherPieces, writePieces } from './pieces.ts';
import type { ListParts } from './publish-shard.ts';
import { HELD, RELEASED, REVOKED_COLUMNS, type RevokedRow, revokedOf } from './revoked.ts';
import { nextCrlNumber, signCrl } from './sign.ts';

/** How often another process may be quicker. */
const TRIES = 8;

/** Rows read at a time. */
const PAGE = 2000;

/**
 * The list about all that one authority signed, for servers that load a file. Its entries are kept encoded, in memory and
 * in pieces in the database, and each list adds what was revoked since; what has expired is left out when they are read
 * anew, at most twice a day.
 */
export class FullList {
  readonly #issuer: string;
  readonly #parts: ListParts;
  #entries = new Entries();
  #sequence = 0;
  /** The run that its pieces are of, and how many of them are in the database; undefined before that was looked at. */
  #run = 0;
  #pieces: number | undefined;
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
    const { run, count } = await this.#writePieces();
    const revoked = this.#entries.encoded();
    const { latest: newest } = this.#entries;
    const crl = await signCrl(issuer, { number, lifetime: LIFETIMES.leafCrl, revoked, latest: newest, now });
    const at = count === 0 ? 0 : entriesAt(crl.der);
    const marks = nextMarks(state, { number, sequence, at: crl.thisUpdate, onSchedule });
    const batch = newBatch();
    const refreshAt = marks.scheduled.at + SCHEDULE;
    const list = { id: this.#issuer, issuer: this.#issuer, crl, pieces: { run, count, at } };
    pushList(batch, state, { ...list, sequence, refreshAt, ...marks });
    const answer = await commit(batch);
    if (!answer.committed && answer.refusal !== 'conflict') throw new WritError(answer.refusal, answer.reason);
    if (!answer.committed) {
      // Another may have begun a run of its own, and taken the pieces of this one away.
      this.#pieces = undefined;
      if ((await countPieces(reader, this.#issuer, run)) < count) this.#forget(state?.scheduled.at ?? 0);
      return 'quicker';
    }
    if (onSchedule) await dropOtherPieces(this.#issuer, run, this.#parts);
    return 'done';
  }

  /** Writes the pieces that are missing, in a run whose other pieces are as they would be made here. */
  async #writePieces(): Promise<{ readonly run: number; readonly count: number }> {
    const { reader, commit } = this.#parts;
    const [list, octets] = [this.#issuer, this.#entries.forEver()];
    while (this.#pieces === undefined) {
      this.#pieces = await commonPieces(reader, octets, { list, run: this.#run });
      if (this.#pieces === undefined) this.#run++;
    }
    const run = this.#run;
    const count = await writePieces(octets, { list, run, from: this.#pieces }, commit);
    this.#pieces = count;
    return { run, count };
  }

  #forget(since: number): void {
    this.#entries = new Entries();
    this.#sequence = 0;
    this.#pieces = undefined;
    this.#run = since;
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
      // A long list is not read in one go: this thread has other work.
      await turn();
    }
  }
}

/** Encoded entries: of what is revoked for ever one after the other, as it was recorded, and behind those what is held. */
class Entries {
  /** Milliseconds: the time of the latest. */
  latest = 0;
  #octets = new Uint8Array(4096);
  #length = 0;
  readonly #held = new Map<string, Uint8Array>();

  change(row: RevokedRow): void {
    const serial = Buffer.from(row.serial).toString('latin1');
    this.#held.delete(serial);
    if (row.reason === RELEASED) return;
    this.latest = Math.max(this.latest, row.at);
    const entry = encodeCrlEntries([entryOf(row)]);
    if (row.reason === HELD) this.#held.set(serial, entry);
    else this.#length = this.#put(entry, this.#length);
  }

  /** A view into what the next change may move. */
  forEver(): Uint8Array {
    return this.#octets.subarray(0, this.#length);
  }

  /** The same with what is held. */
  encoded(): Uint8Array {
    let end = this.#length;
    for (const entry of this.#held.values()) end = this.#put(entry, end);
    return this.#octets.subarray(0, end);
  }

  /** Gives where the next one goes. */
  #put(entry: Uint8Array, at: number): number {
    if (at + entry.length > this.#octets.length) {
      const larger = new Uint8Array(Math.max(this.#octets.length * 2, at + entry.length));
      larger.set(this.#octets.subarray(0, at));
      this.#octets = larger;
    }
    this.#octets.set(entry, at);
    return at + entry.length;
  }
}

/** Where the entries of a list begin (RFC 5280 §5.1): behind version, algorithm, issuer and two times. */
function entriesAt(der: Uint8Array): number {
  const tbs = enterSequence(openSequence(der, 'certificateList', der.length), 'tbsCertList');
  for (const field of ['version', 'signature', 'issuer', 'thisUpdate', 'nextUpdate']) readAny(tbs, field);
  return enterSequence(tbs, 'revokedCertificates').at;
}

function entryOf({ serial, at, reason }: RevokedRow): RevokedCertificate {
  return { serial, revokedAt: wholeSecond(at), reason: reasonOfCode(reason) ?? 'unspecified' };
}
