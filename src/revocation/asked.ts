import type { AccessRequest, Caller, Facts } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import type { CertificateRow } from '../ca/index/certificates.ts';
import { type Agent, agentResource } from '../registry/agent.ts';
import { readAgent } from '../registry/agent-store.ts';
import { lineageOf, readInstance } from '../registry/instance.ts';
import { sponsorFacts } from '../registry/sponsor.ts';
import type { RevocationParts } from './parts.ts';

const INSTALLATION = { type: 'Installation', id: 'writ' } as const;

/** What is stopped, as policy is asked about it, and the facts of that request beside why. */
export interface Asked {
  readonly resource: AccessRequest['resource'];
  readonly facts: Facts;
}

/** For what is done to a certificate. */
export async function askedOfCertificate(caller: Caller, row: CertificateRow, parts: RevocationParts): Promise<Asked> {
  if (row.kind === 'operator') return { resource: { type: 'Operator', id: row.name }, facts: {} };
  const agent = row.instance === undefined ? undefined : await readAgent(parts.reader, row.name);
  if (agent === undefined) return { resource: INSTALLATION, facts: await lineageFacts(caller, row.instance, parts) };
  return askedOfInstance(caller, agent, row.instance, parts);
}

/** For what is done to one of an agent's instances. */
export async function askedOfInstance(
  caller: Caller,
  agent: Agent,
  instance: string | undefined,
  parts: RevocationParts,
): Promise<Asked> {
  const lineage = await lineageFacts(caller, instance, parts);
  return {
    resource: agentResource(agent),
    facts: { ...lineage, ...(await sponsorFacts(caller, agent, parts.reader)) },
  };
}

/** What the guard is told of an instance that an instance wants to stop: who let it in. */
async function lineageFacts(caller: Caller, instance: string | undefined, { reader }: RevocationParts): Promise<Facts> {
  if (instance === undefined) return {};
  if (caller.instance === undefined || caller.instance === instance) return { instance };
  const found = await readInstance(reader, instance);
  return { instance, lineage: found === undefined ? [] : await lineageOf(reader, found) };
}

/** Says that there is no such thing to whoever may list what is registered; others are `denied`, as for what is not theirs. */
export function absent(caller: Caller, what: string, field: string, { authorize }: RevocationParts): WritError {
  demand(authorize, { caller, action: 'agent.read', resource: INSTALLATION });
  return new WritError('not_found', `There is no such ${what}.`, {
    field,
    remedy: `Look it up among those that there are.`,
  });
}
