import { type CommitBatch, newBatch } from '../../db/batch.ts';
import type { Reader } from '../../db/database.ts';
import { contentOf, EVENTS_SUPPORTED, type Stop } from './events.ts';
import type { NamesOf } from './names.ts';
import { pushSet } from './queue.ts';
import { listStreams, type Stream } from './stream.ts';

/** Stops whose entry stands behind `after`, in the order of the log, at most `limit`. */
export type ReadStops = (after: number, limit: number) => Promise<readonly Stop[]>;

export interface FanOutParts {
  readonly reader: Reader;
  readonly commit: CommitBatch;
  readonly stops: ReadStops;
  readonly names: NamesOf;
  /** The issuer identifier of this transmitter. */
  readonly issuer: string;
  readonly now: () => number;
}

/** Stops in one commit: enough for a mass stop to go quickly, few enough for no request to wait behind it. */
const STOPS_A_BATCH = 100;

/**
 * Puts the stops that are new into the streams that want them, one commit after the other, and moves the mark up to which
 * that is done in the same commits. Which SET of which stop it is makes its `jti`, so that even a mark that went back
 * (an older backup) sends nothing under another name. Gives the number of SETs.
 */
export async function fanOut(parts: FanOutParts): Promise<number> {
  let sets = 0;
  for (;;) {
    const streams = await listStreams(parts.reader);
    if (streams.length === 0) return sets;
    const mark = ((await parts.reader.get('SELECT leaf FROM signal_work WHERE id = 1'))?.['leaf'] as number) ?? -1;
    const from = Math.max(mark, Math.min(...streams.map(({ fromLeaf }) => fromLeaf)) - 1);
    const stops = await parts.stops(from, STOPS_A_BATCH);
    const last = stops.at(-1);
    if (last === undefined) return sets;
    const put = await takeOver(stops, streams, { mark, to: last.leaf }, parts);
    if (put === undefined) return sets;
    sets += put;
  }
}

/** One commit. Undefined when another process was quicker. */
async function takeOver(
  stops: readonly Stop[],
  streams: readonly Stream[],
  { mark, to }: { readonly mark: number; readonly to: number },
  { commit, names, issuer, now }: FanOutParts,
): Promise<number | undefined> {
  const batch = newBatch();
  const at = now();
  let sets = 0;
  batch.checks.push({
    sql: 'SELECT 1 AS found FROM signal_work WHERE id = 1 AND leaf = ?',
    params: [mark],
    want: 'present',
    refusal: 'conflict',
    reason: 'Another process took these stops over.',
  });
  batch.writes.push({ sql: 'UPDATE signal_work SET leaf = ? WHERE id = 1', params: [to] });
  for (const stop of stops) {
    const wanting = streams.filter(({ status, fromLeaf }) => status !== 'disabled' && fromLeaf <= stop.leaf);
    if (wanting.length === 0) continue;
    for (const [index, subject] of stop.subjects.entries()) {
      const known = await names(subject);
      const content = known === undefined ? undefined : contentOf(stop, subject, known);
      if (content === undefined) continue;
      for (const stream of wanting) {
        if (!eventsDelivered(stream).includes(content.type)) continue;
        const { id, audience } = stream;
        const jti = `${id}.${stop.leaf}.${index}`;
        const claims = { iss: issuer, aud: audience, jti, iat: Math.floor(at / 1000), ...content.claims };
        pushSet(batch, id, claims, { now: at });
        sets += 1;
      }
    }
  }
  const outcome = await commit(batch);
  return outcome.committed ? sets : undefined;
}

/** SSF 1.0 §8.1.1: of what we can send, what was asked for; all of it where nothing was. */
export function eventsDelivered({ eventsRequested }: Pick<Stream, 'eventsRequested'>): readonly string[] {
  if (eventsRequested.length === 0) return EVENTS_SUPPORTED;
  return EVENTS_SUPPORTED.filter((type) => eventsRequested.includes(type));
}
