import type { Clock } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import type { Batch, Check, Write } from '../db/batch.ts';
import { encodeLeaf, type Leaf } from './entry.ts';

/** A batch whose events are already entries: what travels to the writer and what it commits. */
export interface EncodedBatch {
  readonly checks: readonly Check[];
  readonly writes: readonly Write[];
  readonly leaves: readonly Leaf[];
  readonly bumpsEpoch: boolean;
  readonly anchored: boolean;
}

/** Done in the thread of the request, so that the one writer only appends. Throws as `encodeLeaf`. */
export function encodeBatch(batch: Batch, clock: Clock, random: Random): EncodedBatch {
  const { checks, writes, events, bumpsEpoch, anchored } = batch;
  const at = { time: clock.now(), random };
  return { checks, writes, leaves: events.map((event) => encodeLeaf(event, at)), bumpsEpoch, anchored };
}

/** What a request that only wants the head cosigned carries. */
export const NO_BATCH: EncodedBatch = { checks: [], writes: [], leaves: [], bumpsEpoch: false, anchored: false };
