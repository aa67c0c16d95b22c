import { withdrawTokensMadeAfter } from '../attest/token/store.ts';
import type { Caller } from '../base/access.ts';
import { listCertificates } from '../ca/index/pages.ts';
import { beginStop, finishStop, type UnfinishedStop } from '../ca/index/unfinished-stop.ts';
import type { Cause } from '../ca/revocation-cause.ts';
import { type Batch, newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import type { Reader } from '../db/database.ts';
import { decodeEntry } from '../ledger/entry.ts';
import type { EventType } from '../ledger/event.ts';
import { readHead } from '../ledger/head.ts';
import { readEntries } from '../ledger/store.ts';
import type { MarkingParts } from './parts.ts';
import { pushRevocation } from './revoke.ts';
import { STEP } from './steps.ts';

interface SetBack {
  /** Milliseconds: the time of the latest entry, and the right one. */
  readonly from: number;
  readonly to: number;
  /** Of `stopsMadeAfter`. */
  readonly stops: readonly UnfinishedStop[];
}

/**
 * The record that the clock had been ahead: from here on the log's times are smaller again, at first. Join tokens that
 * were made meanwhile would be good for as much too long, so they are withdrawn with it; stops that were made meanwhile
 * begin again, for `finishStops` to complete.
 */
export function clockSetBack(caller: Caller, { from, to, stops }: SetBack): Batch {
  const batch = newBatch();
  withdrawTokensMadeAfter(batch, to);
  for (const stop of stops) {
    // One that was cut off has a time that is yet to come.
    finishStop(batch, stop.subject);
    beginStop(batch, stop);
  }
  batch.events.push({
    type: 'log.clock_set_back',
    subjects: [],
    body: {
      caller: caller.id,
      from: new Date(from).toISOString(),
      to: new Date(to).toISOString(),
      tokens: 'those made after are withdrawn',
    },
  });
  batch.bumpsEpoch = true;
  batch.anchored = true;
  return batch;
}

/**
 * The stops on record that were made later than `to`, as if they were made then. They marked what was unexpired by the
 * clock of that day; what had run out by it and has not by the right one holds elsewhere, though Writ refuses its holder.
 */
export async function stopsMadeAfter(reader: Reader, to: number): Promise<UnfinishedStop[]> {
  const stops = new Map<string, UnfinishedStop>();
  for (let end = (await readHead(reader))?.size ?? 0; end > 0; end -= PAGE) {
    const start = Math.max(0, end - PAGE);
    const entries = await readEntries(reader, start, end);
    const ahead = entries.map((entry, i) => decodeEntry(start + i, entry)).filter(({ time }) => time > to);
    for (const { type, body } of ahead) {
      const holder = HOLDERS[type];
      const cause = body['cause'] ?? (type === 'operator.replaced' ? 'key_theft' : undefined);
      // An agent that was retired without a cause keeps its certificates to their end.
      if (holder === undefined || cause === undefined) continue;
      const subject = `${holder}:${String(body[holder])}`;
      stops.set(subject, { subject, stoppedAt: to, cause: cause as Cause, stoppedBy: String(body['caller']) });
    }
    // Neighbours may stand in another order, but not so far from each other.
    if (ahead.length === 0) break;
  }
  return [...stops.values()];
}

/** Entries that are read at once. */
const PAGE = 256;

/**
 * Whose certificates an event stops. That an operator's credential was replaced stops all of them here: the one that came
 * for it is from the future and revoked as well.
 */
const HOLDERS: { readonly [T in EventType]?: 'instance' | 'agent' | 'operator' } = {
  'instance.stopped': 'instance',
  'agent.retired': 'agent',
  'operator.removed': 'operator',
  'operator.replaced': 'operator',
};

/**
 * Revokes what was certified while the clock was ahead, so that nothing of it comes into force when its time has come.
 * Their keys go on. Gives the number. May be repeated.
 */
export async function revokeFutureCertificates(caller: Caller, parts: MarkingParts): Promise<number> {
  const { certificates, clock } = parts;
  for (let count = 0; ; ) {
    const at = clock.now();
    const filter = { state: 'active', since: at + AHEAD } as const;
    let page = await listCertificates(certificates, filter, at, STEP);
    while (page.rows.length === 0 && page.next !== undefined) {
      page = await listCertificates(certificates, filter, at, STEP, page.next);
    }
    if (page.rows.length === 0) return count;
    const batch = newBatch();
    const stop = { at, cause: 'superseded_by_renewal', caller: caller.id } as const;
    for (const row of page.rows) await pushRevocation(batch, row, stop, parts);
    committed(await parts.commit(batch));
    count += page.rows.length;
  }
}

/** Milliseconds by which the clocks of replicas may differ. */
const AHEAD = 10_000;
