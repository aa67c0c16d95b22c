import type { Clock } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import type { Batch, Check, Write } from '../db/batch.ts';
import { encodeLeaf, type Leaf } from './entry.ts';
import { onlySays } from './event.ts';
import { feedWrites } from './feed.ts';

/** A batch whose events are already entries: what travels to the writer and what it commits. */
export interface EncodedBatch {
  readonly checks: readonly Check[];
  readonly writes: readonly Write[];
  readonly leaves: readonly Leaf[];
  readonly bumpsEpoch: boolean;
  readonly anchored: boolean;
  readonly under?: number;
}

/**
 * Done in the thread of the request, so that the one writer only appends. What stops or releases something gets its row
 * of the revocation feed here, so that no flow has to know of it, and moves the epoch; what only says something goes to the
 * anchor. Throws as `encodeLeaf`.
 */
export function encodeBatch(batch: Batch, clock: Clock, random: Random): EncodedBatch {
  const { checks, writes, events, bumpsEpoch, anchored, under } = batch;
  const at = { time: clock.now(), random };
  const feed = feedWrites(events, at.time);
  return {
    checks,
    writes: feed.length === 0 ? writes : [...writes, ...feed],
    leaves: events.map((event) => encodeLeaf(event, at)),
    bumpsEpoch: bumpsEpoch || feed.length > 0,
    anchored: anchored || (events.length > 0 && events.every(({ type }) => onlySays(type))),
    ...(under === undefined ? {} : { under }),
  };
}

/** What a request that only wants the head cosigned carries. */
export const NO_BATCH: EncodedBatch = { checks: [], writes: [], leaves: [], bumpsEpoch: false, anchored: false };
