import type { AccessRequest } from '../base/access.ts';
import type { WritError } from '../base/error.ts';
import type { Batch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import { isName } from '../spiffe-id/name.ts';
import { type AgentKind, agentResource, type Labels } from './agent.ts';
import { parseLabels } from './agent-input.ts';
import { readAgent } from './agent-store.ts';
import { lineageOf } from './instance.ts';
import { agentError, isActiveInstance, readStanding, requireInstanceActive } from './standing.ts';

/** What folders beside this one ask of the registry (`attest/`); `cmd/` passes it to them. */
export interface Lookup {
  agent(name: string): Promise<{ kind: AgentKind; resource: AccessRequest['resource']; fault?: WritError } | undefined>;
  instance(
    id: string,
  ): Promise<{ workflow?: string; scopes: readonly string[]; attestedUntil?: number; depth: number } | undefined>;
  isActive(instance: string): Promise<boolean>;
  requireActive(batch: Batch, instance: string): void;
  parseLabels(labels: Labels, field: string): Labels;
}

export function createLookup(reader: Reader): Lookup {
  return {
    async agent(name) {
      const agent = isName(name) ? await readAgent(reader, name) : undefined;
      if (agent === undefined) return undefined;
      const fault = agentError(agent);
      return { kind: agent.kind, resource: agentResource(agent), ...(fault === undefined ? {} : { fault }) };
    },
    async instance(id) {
      const standing = await readStanding(reader, id);
      if (standing === undefined) return undefined;
      const { workflow, scopes, attestedUntil } = standing.instance;
      return {
        ...(workflow === undefined ? {} : { workflow }),
        scopes,
        ...(attestedUntil === undefined ? {} : { attestedUntil }),
        depth: (await lineageOf(reader, standing.instance)).length,
      };
    },
    isActive: (instance) => isActiveInstance(reader, instance),
    requireActive: requireInstanceActive,
    parseLabels,
  };
}
