import type { Metrics } from '../../http/metrics.ts';
import type { Operation } from '../../rest/operation.ts';
import { statusOperations } from '../../rest/status.ts';
import { VERSION } from '../version.ts';
import type { ThreadParts } from './thread-parts.ts';

/** How old what is known of the epoch may be, in milliseconds, before this process is not ready. */
const EPOCH_STALE_MS = 5000;

/** Health, readiness, version, metrics, as this thread sees them. */
export function serverStatus(
  { hierarchy, authority, policy, epoch, clock }: ThreadParts,
  metrics: Metrics,
): Operation[] {
  const memory = metrics.series('writ_process_resident_memory_bytes');
  const cpu = metrics.series('writ_process_cpu_seconds');
  const known = metrics.series('writ_ledger_epoch');
  let told = 0;
  return statusOperations({
    version: VERSION,
    trustDomain: hierarchy.trustDomain,
    parts: () => [
      { name: 'authority', ready: hasIssuer(authority) },
      { name: 'policy', ready: policy.version > 0 },
      { name: 'ledger', ready: clock.now() - epoch.confirmedAt() < EPOCH_STALE_MS },
    ],
    metrics() {
      // These are of the whole process; the thread that is asked tells them, as the difference to what all have told.
      const usage = process.cpuUsage();
      const spent = (usage.user + usage.system) / 1e6;
      metrics.add(cpu, spent - told);
      told = spent;
      metrics.set(memory, process.memoryUsage.rss());
      metrics.set(known, epoch.current());
      return metrics.text();
    },
  });
}

function hasIssuer(authority: ThreadParts['authority']): boolean {
  try {
    authority.issuer();
    return true;
  } catch {
    return false;
  }
}
