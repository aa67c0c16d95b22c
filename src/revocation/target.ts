import type { AccessRequest, Caller, Facts } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import type { CertificateRow } from '../ca/certificates.ts';
import { agentResource } from '../registry/agent.ts';
import { readAgent } from '../registry/agent-store.ts';
import { lineageOf, readInstance } from '../registry/instance.ts';
import type { RevocationParts } from './parts.ts';

const INSTALLATION = { type: 'Installation', id: 'writ' } as const;

/** What policy is asked about when the certificate of somebody is revoked. */
export async function resourceOf(row: CertificateRow, { reader }: RevocationParts): Promise<AccessRequest['resource']> {
  if (row.kind === 'operator') return { type: 'Operator', id: row.name };
  const agent = row.instance === undefined ? undefined : await readAgent(reader, row.name);
  return agent === undefined ? INSTALLATION : agentResource(agent);
}

/** What the guard is told of an instance that an instance wants to stop: who let it in. */
export async function lineageFacts(
  caller: Caller,
  instance: string | undefined,
  { reader }: RevocationParts,
): Promise<Facts> {
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
