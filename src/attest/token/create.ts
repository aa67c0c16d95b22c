import type { Caller, Facts } from '../../base/access.ts';
import { demand, refusal } from '../../base/demand.ts';
import { WritError } from '../../base/error.ts';
import { newId } from '../../base/id.ts';
import { idOctets } from '../../base/id-octets.ts';
import { newBatch } from '../../db/batch.ts';
import { committed } from '../../db/committed.ts';
import type { Idempotency, Json } from '../../http/idempotency.ts';
import { formatJoinToken } from '../../wire/join-token.ts';
import { INSTALLATION, type RegisteredAgent, type RegisteredInstance, type TokenParts } from '../flow.ts';
import { parseTokenInput, type TokenInput } from './input.ts';
import { secretHashOf } from './join-token.ts';
import { insertToken, type StoredToken } from './store.ts';

/** A token at its creation: the one time that its text is there. */
export interface CreatedToken extends StoredToken {
  readonly kind: 'agent' | 'service';
  /** What a newcomer pastes. A secret. Empty in a dry run, where there is nothing to paste. */
  readonly text: string;
}

/**
 * Makes a join token. One that an instance makes lets in its children: they have its workflow, unless another is asked
 * for and refused, and end when its own evidence does. Throws `bad_request`, `too_large`, `denied`, `needs_approval`,
 * `not_found`, `inactive`, `revoked` and `conflict`.
 */
export async function createToken(
  caller: Caller,
  input: TokenInput,
  parts: TokenParts,
  options: { readonly idempotency?: Idempotency | undefined; readonly dryRun?: boolean | undefined } = {},
): Promise<CreatedToken> {
  const data = parseTokenInput(input);
  const labels = parts.registered.parseLabels(data.labels, '/labels');
  const agent = await parts.registered.agent(data.agent);
  if (agent === undefined || (input.kind !== undefined && input.kind !== agent.kind)) {
    demand(parts.authorize, { caller, action: 'agent.read', resource: INSTALLATION });
    throw new WritError('not_found', `There is no ${input.kind ?? 'agent or service'} by that name.`, {
      field: '/agent',
      remedy: 'Register it first, or choose one of those that are registered.',
    });
  }
  const maker = caller.instance === undefined ? undefined : await parts.registered.instance(caller.instance);
  const workflow = data.workflow ?? maker?.workflow;
  const context = {
    uses: data.uses,
    lifetimeSeconds: data.lifetimeSeconds,
    scopes: data.scopes,
    ...(workflow === undefined ? {} : { workflow }),
    ...factsOf(maker),
  };
  ask(caller, context, agent, parts);
  const first = await options.idempotency?.first();
  if (first?.kind === 'secret') return first.value as unknown as CreatedToken;

  const now = parts.clock.now();
  const until = maker?.attestedUntil;
  const token: StoredToken = {
    id: newId(now, parts.random),
    agent: data.agent,
    ...(workflow === undefined ? {} : { workflow }),
    scopes: data.scopes,
    labels,
    ...(caller.instance === undefined ? {} : { parent: caller.instance }),
    ...(until === undefined ? {} : { attestedUntil: until }),
    uses: data.uses,
    used: 0,
    createdAt: now,
    createdBy: caller.id,
    expiresAt: Math.min(now + data.lifetimeSeconds * 1000, until ?? Number.POSITIVE_INFINITY),
  };
  const secret = parts.random(20);
  const created = { ...token, kind: agent.kind, text: options.dryRun === true ? '' : textOf(token, secret, parts) };

  const batch = newBatch();
  if (caller.instance !== undefined) parts.registered.requireActive(batch, caller.instance);
  insertToken(batch, token, secretHashOf(secret));
  batch.events.push({
    type: 'token.created',
    subjects: [`token:${token.id}`, `agent:${token.agent}`, ...(token.parent ? [`instance:${token.parent}`] : [])],
    body: {
      caller: caller.id,
      token: token.id,
      agent: token.agent,
      uses: token.uses,
      expires: new Date(token.expiresAt).toISOString(),
      ...(workflow === undefined ? {} : { workflow }),
      scopes: token.scopes,
      labels,
    },
  });
  options.idempotency?.keep(batch, { kind: 'secret', value: created as unknown as Json });
  if (options.dryRun !== true) committed(await parts.commit(batch));
  return created;
}

/** Whom the guard refuses because nothing is issued for the agent is told the better reason. */
function ask(caller: Caller, context: Facts, agent: RegisteredAgent, { authorize }: TokenParts): void {
  const request = { caller, action: 'token.create', resource: agent.resource, context } as const;
  const verdict = authorize(request);
  if (verdict.allowed) return;
  throw verdict.rules[0] === 'guard.active' && agent.fault !== undefined ? agent.fault : refusal(request, verdict);
}

function factsOf(maker: RegisteredInstance | undefined): Facts {
  if (maker === undefined) return {};
  return {
    callerScopes: maker.scopes,
    ...(maker.workflow === undefined ? {} : { callerWorkflow: maker.workflow }),
    callerDepth: maker.depth,
  };
}

function textOf(token: StoredToken, secret: Uint8Array, { server }: TokenParts): string {
  return formatJoinToken({ ...server, id: idOctets(token.id), secret });
}
