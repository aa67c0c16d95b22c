/** Causes that a person may name for a stop; the server knows which reason of RFC 5280 §5.3.1 follows from each. */
export const CAUSES = [
  'key_theft',
  'session_replay',
  'clone_detected',
  'owner_or_team_change',
  'superseded_by_renewal',
  'decommissioned',
  'task_completed',
  'task_cancelled',
  'task_expired',
  'owner_withdrawn',
  'grant_reduced',
  'policy_change',
  'risk_signal',
  'attestation_drift',
] as const;
