import type { Metrics } from '../../http/metrics.ts';
import { processReadings, type Reading } from '../../http/process-metrics.ts';
import { countEmergencies } from '../../registry/emergency.ts';
import { canaryMetrics } from '../../report/canary-metrics.ts';
import { allCanaries } from '../../report/show-canaries.ts';
import type { Operation } from '../../rest/operation.ts';
import { statusOperations } from '../../rest/status.ts';
import { listFederations } from '../../spiffe/federation.ts';
import { federationMetrics } from '../../spiffe/federation-status.ts';
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
      const federations = await listFederations(reader).then(
        (all) => federationMetrics(all, clock.now()),
        () => '',
      );
      const emergencies = await countEmergencies(reader, clock.now()).then(emergencyReadings, () => []);
      return metrics.text(
        [...processReadings(), ledgerReading(epoch.current()), ...emergencies],
        canaries + federations,
      );
    },
  });
}

function ledgerReading(value: number): Reading {
  const help = 'Epoch of revocations and policy as this process knows it.';
  return { definition: { name: 'writ_ledger_epoch', kind: 'gauge', help }, value };
}

function emergencyReadings({ inForce, unreviewed }: { inForce: number; unreviewed: number }): Reading[] {
  const reading = (name: string, help: string, value: number): Reading => ({
    definition: { name, kind: 'gauge', help },
    value,
  });
  return [
    reading('writ_emergencies_in_force', 'Operators who have emergency access.', inForce),
    reading('writ_reviews_open', 'Emergency access and recoveries that nobody has reviewed.', unreviewed),
  ];
}

function hasIssuer(authority: ThreadParts['authority']): boolean {
  try {
    authority.issuer();
    return true;
  } catch {
    return false;
  }
}
