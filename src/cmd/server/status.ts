import type { Metrics } from '../../http/metrics.ts';
import { processReadings, type Reading } from '../../http/process-metrics.ts';
import { canaryMetrics } from '../../report/canary-metrics.ts';
import { allCanaries } from '../../report/show-canaries.ts';
import type { Operation } from '../../rest/operation.ts';
import { statusOperations } from '../../rest/status.ts';
import { VERSION } from '../version.ts';
import type { ThreadParts } from './thread-parts.ts';

/** How old what is known of the epoch may be, in milliseconds, before this process is not ready. */
const EPOCH_STALE_MS = 5000;

/** Health, readiness, version, metrics, as this thread sees them. */
export function serverStatus(
  { hierarchy, authority, policy, epoch, clock, reader }: ThreadParts,
  metrics: Metrics,
): Operation[] {
  return statusOperations({
    version: VERSION,
    trustDomain: hierarchy.trustDomain,
    parts: () => [
      { name: 'authority', ready: hasIssuer(authority) },
      { name: 'policy', ready: policy.version > 0 },
      { name: 'ledger', ready: clock.now() - epoch.confirmedAt() < EPOCH_STALE_MS },
    ],
    // A database that cannot be read hides no other figure.
    async metrics() {
      const canaries = await allCanaries(reader, clock.now()).then(canaryMetrics, () => '');
      return metrics.text([...processReadings(), ledgerReading(epoch.current())], canaries);
    },
  });
}

function ledgerReading(value: number): Reading {
  const help = 'Epoch of revocations and policy as this process knows it.';
  return { definition: { name: 'writ_ledger_epoch', kind: 'gauge', help }, value };
}

function hasIssuer(authority: ThreadParts['authority']): boolean {
  try {
    authority.issuer();
    return true;
  } catch {
    return false;
  }
}
