import type { Caller, Facts } from '../../base/access.ts';
import { demand } from '../../base/demand.ts';
import { WritError } from '../../base/error.ts';
import { newId } from '../../base/id.ts';
import { type Batch, type JsonValue, newBatch } from '../../db/batch.ts';
import { committed } from '../../db/committed.ts';
import type { Page, PageRequest } from '../../db/cursor.ts';
import type { Idempotency, Json } from '../../http/idempotency.ts';
import { noAttestor } from '../attestor/manage.ts';
import { readAttestor } from '../attestor/store.ts';
import { INSTALLATION, type RegisteredAgent, type TokenParts } from '../flow.ts';
import type { EntrySource, RegistrationEntry } from './entry.ts';
import { type EntryInput, parseEntryInput } from './input.ts';
import { deleteEntry, type EntryFilter, insertEntry, listEntries, readEntry } from './store.ts';

/** An entry with what it lets in. */
export interface ShownEntry extends RegistrationEntry {
  readonly kind: 'agent' | 'service';
}

export interface EntryParts
  extends Pick<TokenParts, 'reader' | 'authorize' | 'commit' | 'clock' | 'random' | 'registered'> {
  /** Whether certificates that follow a profile may live as long. */
  readonly lifetimeFits: (profile: string, seconds: number) => Promise<boolean>;
}

/**
 * Creates a registration entry: from then on, whoever is attested as it says is let in as an instance of the agent, so
 * this is for whoever may let instances of it in. Throws `bad_request`, `too_large`, `denied`, `needs_approval`,
 * `not_found`, `inactive`, `revoked` and `conflict`.
 */
export async function createEntry(
  caller: Caller,
  input: EntryInput,
  parts: EntryParts,
  { idempotency }: { readonly idempotency?: Idempotency | undefined } = {},
): Promise<ShownEntry> {
  const agent = await parts.registered.agent(input.agent);
  if (agent === undefined || (input.kind !== undefined && input.kind !== agent.kind)) {
    throw nothing(caller, `There is no ${input.kind ?? 'agent or service'} by that name.`, '/agent', parts);
  }
  const data = parseEntryInput(input, await kindOfSource(caller, input.source, parts));
  const labels = parts.registered.parseLabels(input.labels ?? {}, '/labels');
  await requireLifetime(data, agent, parts);
  ask(caller, data, agent, parts);
  if (agent.fault !== undefined) throw agent.fault;
  // Whoever may not make the least of join tokens for it lets nobody in by an entry either, whatever rules say of entries.
  const least = { uses: 1, lifetimeSeconds: 60, scopes: data.scopes };
  const workflow = data.workflow === undefined ? {} : { workflow: data.workflow };
  const context = { ...least, ...workflow };
  demand(parts.authorize, { caller, action: 'token.create', resource: agent.resource, context });
  const first = await idempotency?.first();
  if (first?.kind === 'reference') {
    const before = await readEntry(parts.reader, first.reference);
    if (before !== undefined) return { ...before, kind: agent.kind };
  }

  const now = parts.clock.now();
  const entry: RegistrationEntry = {
    id: newId(now, parts.random),
    ...data,
    labels,
    createdAt: now,
    createdBy: caller.id,
  };
  const batch = newBatch();
  insertEntry(batch, entry);
  batch.events.push({
    type: 'entry.created',
    subjects: subjectsOf(entry),
    body: { caller: caller.id, ...bodyOf(entry) },
  });
  idempotency?.keep(batch, { kind: 'reference', reference: entry.id });
  committed(await parts.commit(batch));
  return { ...entry, kind: agent.kind };
}

/**
 * Removes an entry, and gives it as it was. Nobody is let in by it any more; a node renews nothing any more that it let in by it, so such instances
 * end with their certificates or when the node stops them. What came with evidence of its own stays.
 */
export async function removeEntry(
  caller: Caller,
  id: string,
  parts: EntryParts,
  { idempotency }: { readonly idempotency?: Idempotency | undefined } = {},
): Promise<ShownEntry> {
  const entry = await readEntry(parts.reader, id);
  const agent = entry && (await parts.registered.agent(entry.agent));
  if (entry === undefined || agent === undefined) {
    demand(parts.authorize, { caller, action: 'entry.read', resource: INSTALLATION, context: { own: false } });
    // A repeat finds it gone.
    const first = await idempotency?.first();
    if (first?.kind === 'value') return first.value as unknown as ShownEntry;
    throw noEntry();
  }
  ask(caller, entry, agent, parts);
  const batch = newBatch();
  pushRemoval(batch, entry, caller.id);
  const removed = { ...entry, kind: agent.kind };
  idempotency?.keep(batch, { kind: 'value', value: removed as unknown as Json });
  committed(await parts.commit(batch));
  return removed;
}

/** Pushes that an entry counts no more, and the event that says so; refused with `conflict` where it is gone. */
export function pushRemoval(batch: Batch, entry: RegistrationEntry, caller: string): void {
  deleteEntry(batch, entry);
  batch.events.push({
    type: 'entry.removed',
    subjects: subjectsOf(entry),
    body: { caller, entry: entry.id, agent: entry.agent, ...entry.source },
  });
  // No older backup brings it back.
  batch.anchored = true;
}

/** Oldest first. Throws `denied` and `bad_cursor`. */
export async function showEntries(
  caller: Caller,
  filter: EntryFilter,
  request: PageRequest,
  parts: Pick<EntryParts, 'reader' | 'authorize' | 'registered'>,
): Promise<Page<ShownEntry>> {
  demand(parts.authorize, { caller, action: 'entry.read', resource: INSTALLATION, context: { own: false } });
  const page = await listEntries(parts.reader, filter, request);
  return { ...page, items: await Promise.all(page.items.map((entry) => shownEntry(entry, parts))) };
}

/** Throws `denied` and `not_found`. */
export async function showEntry(
  caller: Caller,
  id: string,
  parts: Pick<EntryParts, 'reader' | 'authorize' | 'registered'>,
): Promise<ShownEntry> {
  demand(parts.authorize, { caller, action: 'entry.read', resource: INSTALLATION, context: { own: false } });
  const entry = await readEntry(parts.reader, id);
  if (entry === undefined) throw noEntry();
  return shownEntry(entry, parts);
}

export async function shownEntry(
  entry: RegistrationEntry,
  { registered }: Pick<EntryParts, 'registered'>,
): Promise<ShownEntry> {
  // Rows of agents are never removed.
  return { ...entry, kind: (await registered.agent(entry.agent))?.kind ?? 'agent' };
}

/** A lifetime that the profile does not allow would keep everybody out. */
async function requireLifetime(
  { lifetimeSeconds }: Pick<RegistrationEntry, 'lifetimeSeconds'>,
  { resource }: RegisteredAgent,
  { lifetimeFits }: EntryParts,
): Promise<void> {
  const profile = resource.facts?.['profile'] as string;
  if (lifetimeSeconds === undefined || (await lifetimeFits(profile, lifetimeSeconds))) return;
  throw new WritError('bad_request', 'The profile of the agent or service allows no such lifetime.', {
    field: '/lifetime_seconds',
    remedy: 'Give one within what the profile allows ("writ profile show"), or leave it out.',
  });
}

/** What vouches for the facts: a kind of attestor, or `node`. Throws `not_found` where there is no such source. */
async function kindOfSource(caller: Caller, source: EntrySource, parts: EntryParts): Promise<string> {
  if ('attestor' in source) {
    const attestor = await readAttestor(parts.reader, source.attestor);
    if (attestor?.settings.kind === 'cosign') {
      throw new WritError('bad_request', 'The attestor vouches for images and lets nobody in.', {
        field: '/attestor',
        remedy: 'Name one that newcomers bring evidence of, and match agent:image_signed_by beside it.',
      });
    }
    if (attestor !== undefined) return attestor.settings.kind;
    demand(parts.authorize, { caller, action: 'attestor.read', resource: INSTALLATION });
    throw noAttestor('/attestor');
  }
  const service = await parts.registered.agent(source.node);
  if (service?.kind === 'service') return 'node';
  throw nothing(caller, 'There is no service by that name, and nodes are instances of a service.', '/node', parts);
}

function nothing(caller: Caller, message: string, field: string, { authorize }: EntryParts): WritError {
  demand(authorize, { caller, action: 'agent.read', resource: INSTALLATION });
  return new WritError('not_found', message, {
    field,
    remedy: 'Register it first, or choose one of those that are registered.',
  });
}

function noEntry(): WritError {
  return new WritError('not_found', 'There is no registration entry of that id.', {
    remedy: 'List the entries and choose one.',
  });
}

function ask(
  caller: Caller,
  { scopes, workflow, source }: Pick<RegistrationEntry, 'scopes' | 'workflow' | 'source'>,
  agent: RegisteredAgent,
  { authorize }: EntryParts,
): void {
  const context: Facts = { scopes, ...source, ...(workflow === undefined ? {} : { workflow }) };
  demand(authorize, { caller, action: 'entry.manage', resource: agent.resource, context });
}

function subjectsOf({ id, agent, source }: RegistrationEntry): string[] {
  const from = 'attestor' in source ? `attestor:${source.attestor}` : `agent:${source.node}`;
  return [...new Set([`entry:${id}`, `agent:${agent}`, from])];
}

function bodyOf(entry: RegistrationEntry): { readonly [member: string]: JsonValue } {
  const { hint, workflow, lifetimeSeconds } = entry;
  return {
    entry: entry.id,
    agent: entry.agent,
    ...entry.source,
    match: entry.match,
    ...(hint === undefined ? {} : { hint }),
    ...(workflow === undefined ? {} : { workflow }),
    scopes: entry.scopes,
    labels: entry.labels,
    ...(lifetimeSeconds === undefined ? {} : { lifetime_seconds: lifetimeSeconds }),
    federates_with: entry.federatesWith,
    per: entry.per,
  };
}
