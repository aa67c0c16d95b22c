import { WritError } from '../base/error.ts';
import type { Commit } from './batch.ts';

/** Gives the ledger index of the batch's first event. Throws the refusal when a check did not hold. */
export function committed(commit: Commit): number {
  if (commit.committed) return commit.firstLeaf;
  throw new WritError(commit.refusal, commit.reason, {
    ...(commit.refusal === 'conflict' ? { remedy: 'Look again and repeat the request on what is true now.' } : {}),
  });
}
