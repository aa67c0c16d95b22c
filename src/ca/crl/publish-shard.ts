import { WritError } from '../../base/error.ts';
import { type CommitBatch, newBatch } from '../../db/batch.ts';
import type { Reader } from '../../db/database.ts';
import type { RevokedCertificate } from '../../x509/crl.ts';
import { reasonOfCode } from '../../x509/extensions/reason-code.ts';
import { wholeSecond } from '../certificate/prepare.ts';
import type { Issuer } from '../issuer.ts';
import { LIFETIMES } from '../lifetime.ts';
import { STATUS_PATHS } from '../status-url.ts';
import {
  isDue,
  type ListState,
  nextMarks,
  pushList,
  readListState,
  readServedList,
  SCHEDULE,
  type ServedList,
} from './list.ts';
import { RELEASED } from './revoked.ts';
import { readShard, type Shard } from './shard.ts';
import { nextCrlNumber, signCrl } from './sign.ts';

export interface ListParts {
  readonly reader: Reader;
  readonly commit: CommitBatch;
  readonly clock: { now(): number };
  /** See `STATUS_PATHS`. */
  readonly statusUrl: string;
  /** The authority with this id, also one that signs no certificates any more; undefined when it has expired. */
  issuer(id: string): Promise<Issuer | undefined>;
}

/** How often another process may be quicker. */
const TRIES = 8;

/**
 * The list of a shard with everything in it that is committed: the newest, or else one that is signed and recorded now,
 * with its delta. Any process may call it at any time; of two that sign at once the other's list is given. Undefined when
 * there is no such shard, or its authority has expired, whose lists nobody needs any more. `kept`, which the caller has
 * already, is given back where it is the newest.
 */
export async function shardList(id: string, parts: ListParts, kept?: ServedList): Promise<ServedList | undefined> {
  const { reader, clock } = parts;
  const shard = await readShard(reader, id);
  if (shard === undefined) return undefined;
  for (let tries = 0; tries < TRIES; tries++) {
    const state = await readListState(reader, id);
    const changed = await lastChange(reader, id);
    if (state !== undefined && changed <= state.sequence && !isDue(state, clock.now())) {
      return kept?.number === state.number ? kept : readServedList(reader, id);
    }
    const issuer = await parts.issuer(shard.issuer);
    if (issuer === undefined) return undefined;
    const list = await publish(shard, issuer, { state, changed }, parts);
    if (list !== undefined) return list;
  }
  throw new WritError('unavailable', 'The list keeps changing.', { remedy: 'Ask again in a moment.' });
}

/** Undefined when another process was quicker. */
async function publish(
  { id }: Shard,
  issuer: Issuer,
  { state, changed }: { readonly state: ListState | undefined; readonly changed: number },
  { reader, commit, clock, statusUrl }: ListParts,
): Promise<ServedList | undefined> {
  const now = clock.now();
  const onSchedule = state === undefined || isDue(state, now);
  // RFC 5280 §3.3: what expired leaves once it was on a list of the schedule that was signed after that.
  const rows = await listed(reader, id, state?.scheduled.at ?? 0);
  const sequence = Math.max(changed, ...rows.map((row) => row.sequence));
  const number = nextCrlNumber(state?.number, now);
  const url = statusUrl + STATUS_PATHS.shard(id);
  const latest = Math.max(0, ...rows.map(({ revokedAt }) => revokedAt));
  const common = { number, lifetime: LIFETIMES.leafCrl, latest, now };
  const crl = await signCrl(issuer, {
    ...common,
    revoked: rows.filter(({ released }) => !released),
    shard: { url, deltaUrl: statusUrl + STATUS_PATHS.delta(id) },
  });
  const marks = nextMarks(state, { number, sequence, at: crl.thisUpdate, onSchedule });
  const delta = await signCrl(issuer, {
    ...common,
    // What was released is taken off there: its reason is removeFromCRL (RFC 5280 §5.3.1).
    revoked: rows.filter((row) => row.sequence > marks.base.sequence),
    shard: { url, base: marks.base.number },
  });
  const batch = newBatch();
  const refreshAt = rows.length === 0 ? undefined : marks.scheduled.at + SCHEDULE;
  pushList(batch, state, {
    ...{ id, issuer: issuer.id, crl, delta, sequence, ...marks },
    ...(refreshAt === undefined ? {} : { refreshAt }),
  });
  const answer = await commit(batch);
  if (!answer.committed) {
    if (answer.refusal === 'conflict') return undefined;
    throw new WritError(answer.refusal, answer.reason);
  }
  const { thisUpdate, nextUpdate } = crl;
  return { number, thisUpdate, nextUpdate, crl: crl.der, delta: delta.der };
}

/** The last change in a shard; 0 where nothing ever changed. */
async function lastChange(reader: Reader, shard: string): Promise<number> {
  const row = await reader.get('SELECT MAX(sequence) AS latest FROM revoked WHERE shard = ?', [shard]);
  return (row?.['latest'] as number | null) ?? 0;
}

/** What a list says of one certificate. */
interface Entry extends RevokedCertificate {
  readonly released: boolean;
  readonly sequence: number;
}

async function listed(reader: Reader, shard: string, since: number): Promise<Entry[]> {
  const rows = await reader.all(
    'SELECT serial, reason, at, sequence FROM revoked WHERE shard = ? AND expires_at >= ? ORDER BY sequence',
    [shard, since],
  );
  // Thousands of rows: no more is made of each than is needed.
  return rows.map((row) => {
    const reason = row['reason'] as number;
    return {
      serial: row['serial'] as Uint8Array,
      revokedAt: wholeSecond(row['at'] as number),
      reason: reasonOfCode(reason) ?? 'unspecified',
      released: reason === RELEASED,
      sequence: row['sequence'] as number,
    };
  });
}
