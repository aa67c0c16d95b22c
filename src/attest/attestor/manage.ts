import type { Caller } from '../../base/access.ts';
import { demand } from '../../base/demand.ts';
import { WritError } from '../../base/error.ts';
import { type JsonValue, newBatch } from '../../db/batch.ts';
import { committed } from '../../db/committed.ts';
import type { Page, PageRequest } from '../../db/cursor.ts';
import type { Idempotency, Json } from '../../http/idempotency.ts';
import { parseName } from '../../spiffe-id/name.ts';
import type { AddAttestor, AttestorSettings } from '../../wire/attestor.ts';
import { INSTALLATION, type TokenParts } from '../flow.ts';
import type { ShownAttestor } from './attestor.ts';
import { deleteAttestor, insertAttestor, listAttestors, readAttestor } from './store.ts';

/** What the flows about attestors use. */
export interface AttestorParts extends Pick<TokenParts, 'reader' | 'authorize' | 'commit' | 'clock'> {
  /** Throws `bad_request` or `bad_certificate` for parameters that the kind cannot work with. */
  readonly checkSettings: (settings: AttestorSettings) => void;
}

/** Adds a source of evidence. Nobody is let in by it before a registration entry names it. */
export async function addAttestor(
  caller: Caller,
  { name: given, settings }: AddAttestor,
  parts: AttestorParts,
  { idempotency }: { readonly idempotency?: Idempotency | undefined } = {},
): Promise<ShownAttestor> {
  const name = parseName(given, '/name');
  ask(caller, { name, settings }, parts);
  parts.checkSettings(settings);
  const first = await idempotency?.first();
  if (first?.kind === 'reference') return show(name, parts);

  const attestor = { name, settings, createdAt: parts.clock.now(), createdBy: caller.id };
  const batch = newBatch();
  insertAttestor(batch, attestor);
  batch.events.push({
    type: 'attestor.added',
    subjects: [`attestor:${name}`],
    body: {
      caller: caller.id,
      attestor: name,
      kind: settings.kind,
      parameters: settings.parameters as unknown as JsonValue,
    },
  });
  idempotency?.keep(batch, { kind: 'reference', reference: name });
  committed(await parts.commit(batch));
  return { ...attestor, entries: 0 };
}

/** By name. Throws `denied` and `bad_cursor`. */
export async function showAttestors(
  caller: Caller,
  request: PageRequest,
  parts: Pick<AttestorParts, 'reader' | 'authorize'>,
): Promise<Page<ShownAttestor>> {
  demand(parts.authorize, { caller, action: 'attestor.read', resource: INSTALLATION });
  return listAttestors(parts.reader, request);
}

/** Throws `denied` and `not_found`. */
export async function showAttestor(
  caller: Caller,
  name: string,
  parts: Pick<AttestorParts, 'reader' | 'authorize'>,
): Promise<ShownAttestor> {
  demand(parts.authorize, { caller, action: 'attestor.read', resource: INSTALLATION });
  return show(name, parts);
}

/**
 * Removes a source of evidence, and gives it as it was. What it let in stays, like what a join token let in. Throws
 * `conflict` while registration entries rest on it.
 */
export async function removeAttestor(
  caller: Caller,
  name: string,
  parts: AttestorParts,
  { idempotency }: { readonly idempotency?: Idempotency | undefined } = {},
): Promise<ShownAttestor> {
  const attestor = await readAttestor(parts.reader, name);
  // A repeat finds it gone.
  if (attestor === undefined) {
    demand(parts.authorize, { caller, action: 'attestor.read', resource: INSTALLATION });
    const first = await idempotency?.first();
    if (first?.kind === 'value') return first.value as unknown as ShownAttestor;
    throw noAttestor();
  }
  ask(caller, attestor, parts);
  if (attestor.entries > 0) {
    throw new WritError('conflict', 'Registration entries rest on the attestor.', {
      remedy: `Remove them first; "writ entry list --attestor ${name}" shows them.`,
    });
  }
  const batch = newBatch();
  deleteAttestor(batch, attestor);
  batch.events.push({
    type: 'attestor.removed',
    subjects: [`attestor:${name}`],
    body: { caller: caller.id, attestor: name, kind: attestor.settings.kind },
  });
  // No older backup brings it back.
  batch.anchored = true;
  idempotency?.keep(batch, { kind: 'value', value: attestor as unknown as Json });
  committed(await parts.commit(batch));
  return attestor;
}

function ask(
  caller: Caller,
  { name, settings }: Pick<ShownAttestor, 'name' | 'settings'>,
  { authorize }: AttestorParts,
): void {
  const context = { attestor: name, kind: settings.kind };
  demand(authorize, { caller, action: 'attestor.manage', resource: INSTALLATION, context });
}

async function show(name: string, { reader }: Pick<AttestorParts, 'reader'>): Promise<ShownAttestor> {
  const found = await readAttestor(reader, name);
  if (found === undefined) throw noAttestor();
  return found;
}

export function noAttestor(field?: string): WritError {
  return new WritError('not_found', 'There is no attestor of that name.', {
    ...(field === undefined ? {} : { field }),
    remedy: 'List the attestors and choose one, or add it.',
  });
}
