import { WritError } from '../base/error.ts';

/** CRLReason of RFC 5280 §5.3.1, but for what Writ does not offer: unspecified (0) and the two of holding and release. */
export const REASONS = {
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  privilegeWithdrawn: 9,
} as const;

type Reason = keyof typeof REASONS;

/**
 * Why something was stopped, in our words, and the reason that follows from it. The closed list is recorded in the
 * ledger and never loses a member; each cause has one reason.
 */
export const CAUSES = {
  key_theft: 'keyCompromise',
  session_replay: 'keyCompromise',
  clone_detected: 'keyCompromise',
  authority_compromise: 'cACompromise',
  owner_or_team_change: 'affiliationChanged',
  superseded_by_renewal: 'superseded',
  decommissioned: 'cessationOfOperation',
  task_completed: 'cessationOfOperation',
  task_cancelled: 'cessationOfOperation',
  task_expired: 'cessationOfOperation',
  owner_withdrawn: 'privilegeWithdrawn',
  grant_reduced: 'privilegeWithdrawn',
  policy_change: 'privilegeWithdrawn',
  // What another system said of it, e.g. by Shared Signals. A suspicion: nobody has seen the key stolen.
  risk_signal: 'privilegeWithdrawn',
  // What runs is not what was let in (docs/ATTESTATION.md).
  attestation_drift: 'privilegeWithdrawn',
  cascade: 'privilegeWithdrawn',
} as const;

export type Cause = keyof typeof CAUSES;

CAUSES satisfies Record<Cause, Reason>;

/** What stands for a reason that came without a cause: what is meant by it most of the time. */
const USUAL_CAUSE: Record<Reason, Cause> = {
  keyCompromise: 'key_theft',
  cACompromise: 'authority_compromise',
  affiliationChanged: 'owner_or_team_change',
  superseded: 'superseded_by_renewal',
  cessationOfOperation: 'decommissioned',
  privilegeWithdrawn: 'owner_withdrawn',
};

/**
 * Takes the cause, the reason or both as they came from outside, and gives the cause. Throws `bad_request`, naming the
 * field, where either is not on the list, the two disagree or both are missing: `unspecified` helps nobody who has to
 * judge a year later.
 */
export function parseCause(given: {
  readonly cause?: string | undefined;
  readonly reason?: string | undefined;
}): Cause {
  const { cause, reason } = given;
  if (cause !== undefined && !Object.hasOwn(CAUSES, cause)) throw unknown('/cause', CAUSES);
  if (reason !== undefined && !Object.hasOwn(REASONS, reason)) throw unknown('/reason', REASONS);
  if (cause === undefined) {
    if (reason === undefined) throw unknown('/cause', CAUSES);
    return USUAL_CAUSE[reason as Reason];
  }
  const fitting = CAUSES[cause as Cause];
  if (reason !== undefined && reason !== fitting) {
    throw new WritError('bad_request', 'The reason is not the one that follows from the cause.', {
      field: '/reason',
      remedy: `Leave the reason out, or give ${fitting}.`,
    });
  }
  return cause as Cause;
}

/** The number that certificate rows, CRLs and status answers carry. */
export function reasonCode(cause: Cause): number {
  return REASONS[CAUSES[cause]];
}

/**
 * Whether the key of what was stopped may never be certified again. Only a planned replacement leaves it usable: the
 * successor may carry the same key.
 */
export function blocksKey(cause: Cause): boolean {
  return CAUSES[cause] !== 'superseded';
}

function unknown(field: string, list: object): WritError {
  return new WritError('bad_request', `The ${field.slice(1)} is missing or not one that Writ knows.`, {
    field,
    remedy: `Give one of: ${Object.keys(list).join(', ')}.`,
  });
}
