/** What each figure may be at most. */
export const LIMITS: Readonly<Record<string, number>> = {
  issuance_core_ratio: 1.6,
  durable_cpu_ratio: 2.5,
  storing_cost: 0.25,
  growth_ratio_p99: 1.3,
  purge_stall_ms: 50,
  start_ms: 2000,
};
