import { type CommitBatch, newBatch } from './batch.ts';
import { committed } from './committed.ts';

/**
 * Resolves when every revocation that is recorded is durable in the anchor, too. Whoever finds done what they ask for may
 * have been quicker than the anchor, and must not be told so before: a revocation that was acknowledged is never lost.
 */
export async function whenAnchored(commit: CommitBatch): Promise<void> {
  const batch = newBatch();
  batch.anchored = true;
  committed(await commit(batch));
}
