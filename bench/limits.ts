/** What each figure may be at most. */
export const LIMITS: Readonly<Record<string, number>> = {
  issuance_core_ratio: 1.6,
  durable_cpu_ratio: 2.5,
  storing_cost: 0.25,
  growth_ratio_p99: 1.3,
  purge_stall_ms: 50,
  start_ms: 2000,
  time_to_effect_ms_p99: 100,
  time_to_effect_replicas_ms_p99: 1000,
  cascade_1000_ms: 1000,
  revoke_growth_ratio: 1.2,
  crl_shard_ms: 50,
  first_svid_ms_p99: 25,
  rotation_peak_ratio: 2,
  jwt_svid_ratio: 2,
};

/** What each figure must be at least. */
export const LOWER_LIMITS: Readonly<Record<string, number>> = {
  ocsp_cached_ratio: 0.7,
  ocsp_signed_ratio: 0.6,
};
