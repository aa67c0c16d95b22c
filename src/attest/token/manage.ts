import type { Caller } from '../../base/access.ts';
import { demand } from '../../base/demand.ts';
import { WritError } from '../../base/error.ts';
import { newBatch } from '../../db/batch.ts';
import { committed } from '../../db/committed.ts';
import type { Page, PageRequest } from '../../db/cursor.ts';
import type { Idempotency } from '../../http/idempotency.ts';
import { INSTALLATION, type TokenParts } from '../flow.ts';
import { type TokenStatus, tokenStatus } from './join-token.ts';
import { listTokens, readToken, type StoredToken, withdrawToken } from './store.ts';

/** A token as it is shown: without its secret, with what it lets in and how it stands. */
export interface ShownToken extends StoredToken {
  readonly kind: 'agent' | 'service';
  readonly status: TokenStatus;
}

type ReadParts = Pick<TokenParts, 'reader' | 'authorize' | 'clock' | 'registered'>;

/**
 * Tokens, oldest first. An instance sees those that it made, and no others; that is the caller's whole listing, so it
 * needs no filter. Throws `denied` and `bad_cursor`.
 */
export async function showTokens(
  caller: Caller,
  filter: { readonly agent?: string },
  request: PageRequest,
  parts: ReadParts,
): Promise<Page<ShownToken>> {
  const own = caller.instance === undefined ? {} : { parent: caller.instance };
  demand(parts.authorize, {
    caller,
    action: 'token.read',
    resource: INSTALLATION,
    context: { own: caller.instance !== undefined },
  });
  const page = await listTokens(parts.reader, { ...filter, ...own }, request);
  return { ...page, items: await Promise.all(page.items.map((token) => shown(token, parts))) };
}

/** Throws `denied`, and `not_found` for those who may read all. */
export async function showToken(caller: Caller, id: string, parts: ReadParts): Promise<ShownToken> {
  const { token } = await find(caller, 'token.read', id, parts);
  return token;
}

/** Withdraws a token; what it has let in stays. Revoking what is revoked answers with it. Throws as `showToken`. */
export async function revokeToken(
  caller: Caller,
  id: string,
  parts: ReadParts & Pick<TokenParts, 'commit'>,
  options: { readonly idempotency?: Idempotency | undefined; readonly dryRun?: boolean | undefined } = {},
): Promise<ShownToken> {
  const { token } = await find(caller, 'token.revoke', id, parts);
  await options.idempotency?.first();
  if (token.revokedAt !== undefined) return token;
  const now = parts.clock.now();
  const batch = newBatch();
  withdrawToken(batch, id, now);
  batch.events.push({
    type: 'token.revoked',
    subjects: [`token:${id}`, `agent:${token.agent}`],
    body: { caller: caller.id, token: id, agent: token.agent, used: token.used },
  });
  options.idempotency?.keep(batch, { kind: 'reference', reference: id });
  if (options.dryRun !== true) committed(await parts.commit(batch));
  return { ...token, revokedAt: now, status: 'revoked' };
}

async function find(
  caller: Caller,
  action: 'token.read' | 'token.revoke',
  id: string,
  parts: ReadParts,
): Promise<{ token: ShownToken }> {
  const token = await readToken(parts.reader, id);
  const agent = token && (await parts.registered.agent(token.agent));
  if (token === undefined || agent === undefined) {
    // Who may list all tokens may know that there is none; an instance is refused either way.
    demand(parts.authorize, { caller, action: 'token.read', resource: INSTALLATION, context: { own: false } });
    throw new WritError('not_found', 'There is no join token of that id.', {
      remedy: 'List the tokens and choose one.',
    });
  }
  const own = token.createdBy === caller.id || (caller.instance !== undefined && token.parent === caller.instance);
  demand(parts.authorize, { caller, action, resource: agent.resource, context: { own } });
  return { token: { ...token, kind: agent.kind, status: tokenStatus(token, parts.clock.now()) } };
}

async function shown(token: StoredToken, { registered, clock }: ReadParts): Promise<ShownToken> {
  // Rows of agents are never removed.
  const kind = (await registered.agent(token.agent))?.kind ?? 'agent';
  return { ...token, kind, status: tokenStatus(token, clock.now()) };
}
