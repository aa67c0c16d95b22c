import type { CreatedToken } from '../attest/token/create.ts';
import type { TokenInput } from '../attest/token/input.ts';
import { tokenStatus } from '../attest/token/join-token.ts';
import type { ShownToken } from '../attest/token/manage.ts';
import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import type { Page, PageRequest } from '../db/cursor.ts';
import { byId } from '../wire/path.ts';
import type * as wire from '../wire/token.ts';
import { createdToken, createToken, token, tokenPage, tokenQuery } from '../wire/token.ts';
import { type Operation, operation, type WriteOptions } from './operation.ts';
import { given, givenTime, pageAnswer, timeText } from './render.ts';

/** What the routes under `/v1/tokens` need. Each asks policy. */
export interface Tokens {
  create(caller: Caller, input: TokenInput, options: WriteOptions): Promise<CreatedToken>;
  list(caller: Caller, filter: { readonly agent?: string }, page: PageRequest): Promise<Page<ShownToken>>;
  show(caller: Caller, id: string): Promise<ShownToken>;
  revoke(caller: Caller, id: string, options: WriteOptions): Promise<ShownToken>;
  now(): number;
}

export function tokenOperations(tokens: Tokens): Operation[] {
  return [
    operation({
      id: 'createToken',
      method: 'POST',
      path: '/v1/tokens',
      access: 'caller',
      action: 'token.create',
      summary: 'Makes a join token, which lets instances of one agent or service in. Its secret is shown this once.',
      body: createToken,
      status: 201,
      answer: createdToken,
      example: {
        body: { agent: 'planner', uses: 1, lifetime_seconds: 3600 },
        answer: { ...EXAMPLE, token: 'writ-join-1-…' },
      },
      async handle({ caller, body, idempotency }) {
        const { agent, service, lifetime_seconds: lifetimeSeconds, ...rest } = body;
        const kind = service === undefined ? 'agent' : 'service';
        const input = {
          ...rest,
          agent: (agent ?? service)!,
          kind,
          ...given('lifetimeSeconds', lifetimeSeconds),
        } as const;
        const created = await tokens.create(caller, input, { idempotency });
        const status = tokenStatus(created, tokens.now());
        return { ...tokenAnswer({ ...created, status }), token: created.text };
      },
    }),
    operation({
      id: 'listTokens',
      method: 'GET',
      path: '/v1/tokens',
      access: 'caller',
      action: 'token.read',
      summary: 'Join tokens without their secrets, the oldest first. An instance sees those that it made.',
      query: tokenQuery,
      answer: tokenPage,
      example: { answer: { items: [EXAMPLE] } },
      async handle({ caller, query: { agent, service, limit, cursor } }) {
        if (agent !== undefined && service !== undefined) throw oneOnly();
        const page = { ...given('limit', limit), ...given('cursor', cursor) };
        return pageAnswer(await tokens.list(caller, given('agent', agent ?? service), page), tokenAnswer);
      },
    }),
    operation({
      id: 'getToken',
      method: 'GET',
      path: '/v1/tokens/{id}',
      access: 'caller',
      action: 'token.read',
      summary: 'One join token without its secret.',
      params: byId,
      answer: token,
      example: { answer: EXAMPLE },
      handle: async ({ caller, params: { id } }) => tokenAnswer(await tokens.show(caller, id)),
    }),
    operation({
      id: 'revokeToken',
      method: 'POST',
      path: '/v1/tokens/{id}/revoke',
      access: 'caller',
      action: 'token.revoke',
      summary: 'Makes a join token useless. What it has let in stays.',
      params: byId,
      answer: token,
      example: { answer: { ...EXAMPLE, status: 'revoked', revoked_at: '2026-11-22T14:30:00.000Z' } },
      handle: async ({ caller, params: { id }, idempotency }) =>
        tokenAnswer(await tokens.revoke(caller, id, { idempotency })),
    }),
  ];
}

function tokenAnswer(found: ShownToken): wire.Token {
  return {
    id: found.id,
    kind: found.kind,
    name: found.agent,
    status: found.status,
    uses: found.uses,
    uses_left: Math.max(0, found.uses - found.used),
    ...given('workflow', found.workflow),
    scopes: found.scopes,
    labels: found.labels,
    ...given('parent', found.parent),
    ...givenTime('attested_until', found.attestedUntil),
    created_by: found.createdBy,
    created_at: timeText(found.createdAt),
    expires_at: timeText(found.expiresAt),
    ...givenTime('revoked_at', found.revokedAt),
    ...givenTime('last_used_at', found.lastUsedAt),
  };
}

function oneOnly(): WritError {
  return new WritError('bad_request', 'Tokens are for an agent or a service, not both.', {
    field: '?service',
    remedy: 'Give one of agent and service.',
  });
}

const EXAMPLE: wire.Token = {
  id: '01kaj8wzzzzzzzzzzzzzzzzzzz',
  kind: 'agent',
  name: 'planner',
  status: 'active',
  uses: 1,
  uses_left: 1,
  scopes: [],
  labels: {},
  created_by: 'spiffe://agents.example.com/operator/ada',
  created_at: '2026-11-22T14:00:00.000Z',
  expires_at: '2026-11-22T15:00:00.000Z',
};
