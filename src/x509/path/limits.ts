import { WritError } from '../../base/error.ts';

/**
 * How much work one validation may take. All certificates but the anchors come from whoever is to be authenticated, so
 * these bound what a stranger can make us do; a path that Writ issued needs a small fraction of each.
 */
export const LIMITS = {
  /** Certificates handed in for path building. */
  intermediates: 256,
  /** Certificates in a path, leaf and anchor included. */
  depth: 12,
  /** Candidate issuers looked at, over all branches. */
  steps: 1_000,
  signatures: 64,
  /** Names compared with subtrees of name constraints. */
  comparisons: 250_000,
} as const;

export type Work = 'steps' | 'signatures' | 'comparisons';

/** Counts the work of one validation down. */
export interface Budget {
  /** Throws `too_large` when the limit is reached: the whole validation fails, not one branch of it. */
  spend(work: Work, amount?: number): void;
}

export function newBudget(limits: Readonly<Record<Work, number>> = LIMITS): Budget {
  const left = { ...limits };
  return {
    spend(work, amount = 1) {
      left[work] -= amount;
      if (left[work] < 0) {
        throw new WritError('too_large', `The path takes more than ${limits[work]} ${work}.`, {
          remedy: 'Send only the certificates that lead from the leaf to a trust anchor.',
        });
      }
    },
  };
}
