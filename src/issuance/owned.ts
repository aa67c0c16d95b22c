import type { EntryCache } from '../attest/entry/cache.ts';
import type { RegistrationEntry } from '../attest/entry/entry.ts';
import type { EvidenceFacts } from '../attest/evidence.ts';
import { matches, REFERENCE } from '../attest/facts.ts';
import { readOwned, takeReference } from '../attest/owned-store.ts';
import type { Caller } from '../base/access.ts';
import { isWritError, WritError } from '../base/error.ts';
import { readInstance } from '../registry/instance.ts';
import type { Runtime } from '../wire/runtime.ts';
import type { DriftParts } from './drift.ts';
import type { IssuedCertificate } from './issued.ts';
import type { IssuanceParts } from './parts.ts';
import { renewWorkload } from './renew-workload.ts';
import type { CertificateRequest } from './request.ts';
import { letIn, nodeOf, trueOf } from './workload.ts';

/** An instance that an orchestrator, which is itself an instance of a service, runs in its own process. */
export interface OwnedRequest extends CertificateRequest {
  /** Name of the agent or service. */
  readonly agent: string;
  /** What the orchestrator calls it by; no two of its instances ever have the same. */
  readonly reference: string;
  readonly runtime?: Runtime | undefined;
  /** Only by an entry for this workflow. */
  readonly workflow?: string | undefined;
}

export interface OwnedParts extends IssuanceParts, DriftParts {
  readonly entries: Pick<EntryCache, 'read'>;
}

/**
 * A certificate for what an orchestrator calls by this reference: a new instance, whose parent it is, or the one that has
 * the reference already. Who may be let in so, the registration entries for the orchestrator's service say: of those for the
 * agent that fit the one that asks for most, of several the oldest. An instance that was stopped leaves its reference taken.
 *
 * Throws as `enrolWorkload` and `renewWorkload` do; `denied` where no entry fits, on record by then.
 */
export async function startOwned(caller: Caller, request: OwnedRequest, parts: OwnedParts): Promise<IssuedCertificate> {
  const parent = await nodeOf(caller, parts);
  const { reference } = request;
  const facts = await trueOf({ [REFERENCE]: [reference] }, request.runtime, parts);
  for (let attempt = 1; ; attempt++) {
    const instance = await readOwned(parts.reader, parent.id, reference);
    if (instance !== undefined) return goOn(caller, { ...request, instance }, parts);
    const entry = await chosen(caller, request, facts, parts);
    try {
      return await letIn(
        caller,
        {
          ...request,
          ...{ kind: 'parent', parent, entry, facts },
          also: (batch, instance) => takeReference(batch, { parent: parent.id, reference, instance }),
        },
        parts,
      );
    } catch (error) {
      // The same was asked for twice at once: the other one has made it.
      const taken =
        isWritError(error, 'conflict') && (await readOwned(parts.reader, parent.id, reference)) !== undefined;
      if (!taken || attempt > 1) throw error;
    }
  }
}

/** The next certificate of one that is there. */
async function goOn(
  caller: Caller,
  request: OwnedRequest & { readonly instance: string },
  parts: OwnedParts,
): Promise<IssuedCertificate> {
  const known = await readInstance(parts.reader, request.instance);
  const { agent, workflow } = request;
  if (known?.agent !== agent || (workflow !== undefined && known.workflow !== workflow)) {
    throw new WritError('conflict', 'The reference is that of an instance of another agent or workflow.', {
      field: '/reference',
      remedy: 'Give each instance a reference of its own.',
    });
  }
  return renewWorkload(caller, request, parts);
}

/** The entry that asks for most; of several the oldest. Throws `denied`. */
async function chosen(
  caller: Caller,
  { agent, workflow }: OwnedRequest,
  facts: EvidenceFacts,
  { entries, recordRefusal }: OwnedParts,
): Promise<RegistrationEntry> {
  const known = caller.kind === 'service' ? (await entries.read({ node: caller.agent! })).entries : [];
  const [best] = known
    .filter((entry) => entry.agent === agent && (workflow === undefined || entry.workflow === workflow))
    .filter(({ match }) => matches(match, facts))
    .sort((a, b) => b.match.length - a.match.length);
  if (best !== undefined) return best;
  const reasons = ['No registration entry for the service of the caller asks for such an instance.'];
  await recordRefusal({
    ...{ type: 'certificate.refused', by: caller.id, code: 'denied' },
    subjects: caller.instance === undefined ? [] : [`instance:${caller.instance}`],
    body: { action: 'workload.enrol', reasons },
  });
  throw new WritError('denied', 'Not allowed: workload.enrol.', {
    remedy: 'Have an entry created for it: writ entry create AGENT --node SERVICE --match parent:reference=…',
    reasons,
  });
}
