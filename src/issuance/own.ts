import type { Batch } from '../db/batch.ts';

/**
 * Has the anchor keep the entry of a certificate that Writ issues to itself. They come unasked, with each start and each
 * few hours: a start on a backup that lacks nothing but them and revocations goes on from the anchor.
 */
export function anchorOwn(batch: Batch): void {
  batch.anchored = true;
}
