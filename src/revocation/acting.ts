import type { AccessRequest, Authorize, Caller, Verdict } from '../base/access.ts';
import type { Clock } from '../base/clock.ts';
import { requireUnrevoked } from '../ca/index/certificates.ts';
import { requireFree } from '../ca/index/require-free.ts';
import { type Batch, type CommitBatch, type LedgerEvent, newBatch } from '../db/batch.ts';
import type { PartitionMap } from '../db/partition-map.ts';
import { requirePolicyVersion } from '../policy/store.ts';
import { requireEmergency } from '../registry/emergency.ts';
import { requireStillMember } from '../registry/group.ts';
import { requireActiveOperator } from '../registry/operator.ts';
import { looksAtInstance, requireInstanceActive } from '../registry/standing.ts';
import { ENDS } from './evidence.ts';

/** What a flow asks and commits with. */
export interface Acting {
  readonly authorize: Authorize;
  readonly commit: CommitBatch;
}

/** What one request brings of approvals (`approval/consent.ts`). */
interface Consent {
  /** The verdict in place of one that asks for an approval. */
  answer(request: AccessRequest, verdict: Extract<Verdict, { allowed: false }>): Verdict;
  /** Pushes the use of the approval that has allowed something, and gives its id; undefined where none has. */
  use(batch: Batch): string | undefined;
}

export interface ActingParts extends Acting {
  /** Absent: no approval is known, and what needs one is refused. */
  readonly consent?: (caller: Caller) => Promise<Consent | undefined>;
  readonly clock: Clock;
  /** Of the family `certificate`. */
  readonly certificates: PartitionMap;
}

/**
 * What the flow of one request asks and commits with, so that its commit looks again (DESIGN §3.9) at the caller: the
 * certificate that it presented is not revoked, else `revoked`; the operator or instance is there and active, else
 * `conflict`, and has left no group that the rules saw them in. With `policy` an act is discarded with `conflict`, too,
 * when another policy set than the one that allowed it is in force by then; flows that issue look at that by themselves,
 * and stopping does not wait for a publication.
 *
 * What policy allows with an approval alone, it allows where the request names one that holds: the first commit uses it up
 * under that same policy set, or is discarded, and each event of that commit names it.
 *
 * A flow may commit several times. Only until the first commit has succeeded is the caller looked at, since what an
 * instance does to stop itself must not end with its own standing.
 */
export async function actingFor(
  caller: Caller,
  { authorize, commit, certificates, consent, clock }: ActingParts,
  looksAt: { readonly policy: boolean },
): Promise<Acting> {
  const { serial, operator, instance } = caller;
  const standing = newBatch();
  if (serial !== undefined) {
    await requireUnrevoked(certificates, standing, serial);
    requireFree(certificates, standing, serial);
  }
  if (operator !== undefined) requireActiveOperator(standing, operator);
  const consented = caller.bound === undefined ? undefined : await consent?.(caller);
  let version: number | undefined;
  let rules: readonly string[] = [];
  let emergency: string | undefined;
  let groups: readonly string[] = [];
  let begun = false;
  return {
    authorize(request) {
      const asked = authorize(request);
      const askable = !asked.allowed && asked.needsApproval !== undefined && consented !== undefined;
      const verdict = askable ? consented.answer(request, asked) : asked;
      if (verdict.allowed) {
        ({ policyVersion: version, rules } = verdict);
        // A flow that asks twice rests on both answers.
        emergency ??= verdict.emergency;
        groups = asked.groups ?? [];
      }
      return verdict;
    },
    async commit(batch) {
      // What records and changes nothing, and only waits for what is recorded, is no act of the caller.
      if (begun || (batch.writes.length === 0 && batch.events.length === 0)) return commit(batch);
      const again = newBatch();
      const used = newBatch();
      const approval = consented?.use(used);
      const policy = looksAt.policy || approval !== undefined || emergency !== undefined;
      if (emergency !== undefined) requireEmergency(again, emergency, clock.now());
      if (policy && version !== undefined) requirePolicyVersion(again, version);
      if (operator !== undefined) for (const group of groups) requireStillMember(again, group, operator);
      // A flow about the caller itself has its commit look at it already, and closer.
      if (instance !== undefined && !looksAtInstance(batch, instance)) requireInstanceActive(again, instance);
      const checks = [...standing.checks, ...again.checks, ...used.checks, ...batch.checks];
      const writes = [...batch.writes, ...used.writes];
      const events = [...naming(ruled(batch.events, rules), { approval, emergency }), ...used.events];
      const under = caller.asOf;
      const outcome = await commit({ ...batch, checks, writes, events, ...(under === undefined ? {} : { under }) });
      begun = outcome.committed;
      return outcome;
    },
  };
}

/** The act's own events, each naming the approval or the emergency access that it rests on. */
function naming(
  events: readonly LedgerEvent[],
  { approval, emergency }: { readonly approval: string | undefined; readonly emergency: string | undefined },
): readonly LedgerEvent[] {
  if (approval === undefined && emergency === undefined) return events;
  const named = {
    ...(approval === undefined ? {} : { approval }),
    ...(emergency === undefined ? {} : { emergency }),
  };
  return events.map((event) => ({ ...event, body: { ...event.body, ...named } }));
}

/** What no policy set allows: one person does it alone, or people answer about the successor of a set that forbids that. */
const BESIDE_POLICY: ReadonlySet<string> = new Set(['administrator.alone', 'policy.successor']);

/** The same events; those that end something, and what is beside policy, name the rules that allowed it. */
function ruled(events: readonly LedgerEvent[], rules: readonly string[]): LedgerEvent[] {
  const beside = rules.some((rule) => BESIDE_POLICY.has(rule));
  return events.map((event) => {
    const named = rules.length > 0 && (ENDS.has(event.type) || (beside && !event.type.startsWith('certificate.')));
    return named ? { ...event, body: { ...event.body, authority: rules } } : event;
  });
}
