import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import type { CertificateRow } from '../ca/certificates.ts';
import { type Cause, parseCause } from '../ca/revocation-cause.ts';
import type { Batch } from '../db/batch.ts';
import { type Agent, type AgentKind, agentResource } from '../registry/agent.ts';
import { readAgent } from '../registry/agent-store.ts';
import { readInstance } from '../registry/instance.ts';
import { pushRetirement } from '../registry/retire.ts';
import { sponsorFacts } from '../registry/sponsor.ts';
import { isName } from '../spiffe-id/name.ts';
import { beginDescendants, finishDescendants } from './descendants.ts';
import { withEvidence } from './evidence.ts';
import type { MarkingParts, RevocationParts, StopOptions, Why } from './parts.ts';
import { type Stopping, stopInSteps } from './steps.ts';
import { pushStopped } from './stopping-instance.ts';
import { absent } from './target.ts';

/**
 * Stops an agent or service for ever, with all its instances and certificates. The stop itself is one row and holds from
 * the first commit on; the certificates that are out are marked in bounded steps before this resolves. Where somebody else
 * has its keys, whatever its instances let in goes, too, of whichever agent. Gives the agent as it stands then. Repeating
 * it completes what is not complete.
 *
 * Throws `bad_request` for a cause that is not on the list and evidence that is no link, `not_found`, `denied`, `needs_approval`.
 */
export async function stopAgent(
  caller: Caller,
  target: { readonly name: string; readonly kind?: AgentKind } & Why,
  given: RevocationParts,
  options: StopOptions = {},
): Promise<Agent> {
  const cause = parseCause(target);
  const parts = withEvidence(given, target.evidence);
  await parts.refresh();
  const { name, kind } = target;
  const agent = isName(name) ? await readAgent(parts.reader, name) : undefined;
  if (agent === undefined || (kind !== undefined && agent.kind !== kind)) {
    throw absent(caller, kind ?? 'agent or service', '/name', parts);
  }
  const context = await sponsorFacts(caller, agent, parts.reader);
  demand(parts.authorize, { caller, action: 'agent.retire', resource: agentResource(agent), context });

  const stop = { at: parts.clock.now(), cause, caller: caller.id };
  const of = { kind: 'agent', id: agent.name } as const;
  await stopInSteps(
    {
      ...stoppingOf(agent, stop, parts),
      canBeWhole: false,
      async begin() {
        const now = await readAgent(parts.reader, agent.name);
        const repeated = (await options.idempotency?.first()) !== undefined;
        return (batch) => {
          if (now !== undefined && now.status !== 'retired') pushRetirement(batch, caller, now, stop.at, cause);
          beginDescendants(batch, of, stop);
          // A repeat of a stop that was begun under this key and cut off completes it; the key is kept already.
          if (!repeated) options.idempotency?.keep(batch, { kind: 'reference', reference: agent.name });
        };
      },
    },
    parts,
  );
  await finishDescendants(of, parts);
  return (await readAgent(parts.reader, agent.name)) ?? agent;
}

/** What a stop of an agent does in each step: the instances whose certificates it marks are stopped with them. */
export function stoppingOf(
  agent: Pick<Agent, 'kind' | 'name'>,
  { at, cause, caller }: { readonly at: number; readonly cause: Cause; readonly caller: string },
  { reader }: MarkingParts,
): Omit<Stopping, 'begin' | 'canBeWhole'> {
  return {
    subject: `agent:${agent.name}`,
    stoppedAt: at,
    cause,
    stoppedBy: caller,
    filter: { agent: agent.name },
    async also(batch: Batch, rows: readonly CertificateRow[]) {
      for (const id of new Set(rows.map(({ instance }) => instance))) {
        const instance = id === undefined ? undefined : await readInstance(reader, id);
        if (instance !== undefined && instance.status !== 'stopped')
          pushStopped(batch, instance, { at, cause, caller });
      }
    },
  };
}
