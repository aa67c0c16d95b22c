import type { Action, Authorize, Caller } from '../../base/access.ts';
import type { Clock } from '../../base/clock.ts';
import { demand } from '../../base/demand.ts';
import { WritError } from '../../base/error.ts';
import { newId } from '../../base/id.ts';
import type { Random } from '../../base/random.ts';
import { type Batch, type CommitBatch, newBatch } from '../../db/batch.ts';
import { committed } from '../../db/committed.ts';
import type { Reader } from '../../db/database.ts';
import type { Idempotency, Json } from '../../http/idempotency.ts';
import type { OutboundRules } from '../../http/outbound-address.ts';
import type { SecretBox } from '../../keys/secret-box.ts';
import { readHead } from '../../ledger/head.ts';
import { EVENTS_SUPPORTED, STREAM_UPDATED, VERIFICATION } from './events.ts';
import { eventsDelivered } from './fan-out.ts';
import { deadSets, pushRevived, pushSet, type QueuedSet } from './queue.ts';
import { parseReceiverUrl, receiverAddressRule } from './receiver-url.ts';
import { deleteStream, insertStream, listStreams, readStream, type Stream, updateStream } from './stream.ts';

export interface ManageParts {
  readonly reader: Reader;
  readonly authorize: Authorize;
  readonly commit: CommitBatch;
  readonly clock: Clock;
  readonly random: Random;
  /** The issuer identifier of this transmitter. */
  readonly issuer: () => string;
  /** Makes the keys that a first stream needs, where they are missing. */
  readonly prepare: () => Promise<void>;
  readonly box: () => Promise<SecretBox>;
  readonly receivers: OutboundRules;
}

export interface ManageOptions {
  readonly idempotency?: Idempotency | undefined;
}

/** What a receiver says of a stream (SSF 1.0 §8.1.1.1); what is absent stays, or is as it is by default. */
export interface StreamInput {
  /** Ours beside the standard: whom the tokens are for. Cannot be changed. */
  readonly audience?: string;
  readonly description?: string;
  readonly delivery?: {
    readonly method: 'push' | 'poll';
    readonly endpoint?: string;
    readonly authorization?: string;
  };
  readonly eventsRequested?: readonly string[];
  /** What a receiver says of what is ours to say: where it is there, it is what we said (SSF 1.0 §8.1.1.3). */
  readonly supplied?: Partial<Supplied>;
}

interface Supplied {
  readonly iss: string;
  readonly aud: string;
  readonly events_supported: readonly string[];
  readonly events_delivered: readonly string[];
  readonly min_verification_interval: number;
}

/** Seconds between two verifications of one stream that are asked for. */
export const VERIFICATION_INTERVAL = 10;

const INSTALLATION = { type: 'Installation', id: 'writ' } as const;

/** Throws `denied`, `bad_request` and `conflict`. */
export async function createStream(
  caller: Caller,
  input: StreamInput,
  parts: ManageParts,
  { idempotency }: ManageOptions = {},
): Promise<Stream> {
  ask(caller, 'signal.manage', parts);
  const first = await idempotency?.first();
  if (first?.kind === 'value') return await ownStream(caller, (first.value as { id: string }).id, parts);
  await parts.prepare();
  const now = parts.clock.now();
  const id = newId(now, parts.random);
  const owner = ownerOf(caller);
  const delivery = await deliveryOf(id, input.delivery ?? { method: 'poll' }, parts);
  const stream: Stream = {
    id,
    owner,
    audience: input.audience ?? delivery.endpoint ?? owner,
    ...(input.description === undefined ? {} : { description: input.description }),
    ...delivery,
    eventsRequested: input.eventsRequested ?? [],
    status: 'enabled',
    version: 1,
    fromLeaf: (await readHead(parts.reader))?.size ?? 0,
    delivered: 0,
    createdAt: now,
    updatedAt: now,
  };
  const batch = newBatch();
  insertStream(batch, stream);
  record(batch, caller, 'created', stream);
  idempotency?.keep(batch, { kind: 'value', value: { id } satisfies Json });
  committed(await parts.commit(batch));
  return stream;
}

/** All streams that a caller may see: every one for operators, for others their own. */
export async function showStreams(caller: Caller, parts: ManageParts): Promise<Stream[]> {
  ask(caller, 'signal.read', parts);
  return listStreams(parts.reader, caller.kind === 'operator' ? undefined : ownerOf(caller));
}

/** Throws `not_found` for a stream that is not there, or that is none of the caller's. */
export async function showStream(caller: Caller, id: string, parts: ManageParts): Promise<Stream> {
  ask(caller, 'signal.read', parts);
  return ownStream(caller, id, parts);
}

/** Changes what is given (`patch`), or everything that a receiver says of a stream (`replace`). */
export async function changeStream(
  caller: Caller,
  change: { readonly id: string; readonly how: 'patch' | 'replace'; readonly input: StreamInput },
  parts: ManageParts,
): Promise<Stream> {
  ask(caller, 'signal.manage', parts);
  const { id, how, input } = change;
  const before = await ownStream(caller, id, parts);
  requireSupplied(input, before, parts.issuer());
  const { description, method, endpoint, authorization, eventsRequested, ...rest } = before;
  const said = how === 'replace' ? undefined : { description, eventsRequested };
  const delivery =
    input.delivery !== undefined
      ? await deliveryOf(id, input.delivery, parts)
      : how === 'replace'
        ? { method: 'poll' as const }
        : defined({ method, endpoint, authorization });
  const after: Stream = {
    ...rest,
    ...defined({ description: input.description ?? said?.description }),
    ...delivery,
    eventsRequested: input.eventsRequested ?? said?.eventsRequested ?? [],
    version: before.version + 1,
    updatedAt: parts.clock.now(),
  };
  const batch = newBatch();
  updateStream(batch, before, after);
  record(batch, caller, 'updated', after);
  committed(await parts.commit(batch));
  return after;
}

/** Throws `bad_request` for what only we can say of a stream, and is not so. */
function requireSupplied({ audience, supplied = {} }: StreamInput, stream: Stream, issuer: string): void {
  const so: Supplied = {
    iss: issuer,
    aud: stream.audience,
    events_supported: EVENTS_SUPPORTED,
    events_delivered: eventsDelivered(stream),
    min_verification_interval: VERIFICATION_INTERVAL,
  };
  const given = defined({ ...supplied, aud: audience });
  for (const [member, value] of Object.entries(given)) {
    const [said, known] = [value, so[member as keyof Supplied]].map((one) =>
      [one].flat().map(String).sort().join('\n'),
    );
    if (said === known) continue;
    throw new WritError('bad_request', 'What is the transmitter’s to say of a stream cannot be changed.', {
      field: `/${member}`,
      remedy: member === 'aud' ? 'Leave it out, or make another stream.' : 'Leave it out, or give it as it was read.',
    });
  }
}

/**
 * SSF 1.0 §8.1.2.2. While it is paused events are held; while it is disabled none are kept. A receiver whose stream somebody
 * else changes is told of it, over that stream (§8.1.5).
 */
export async function setStreamStatus(
  caller: Caller,
  wanted: { readonly id: string; readonly status: Stream['status']; readonly reason?: string | undefined },
  parts: ManageParts,
): Promise<Stream> {
  ask(caller, 'signal.manage', parts);
  const { reason: _, ...before } = await ownStream(caller, wanted.id, parts);
  const after: Stream = {
    ...before,
    status: wanted.status,
    ...defined({ reason: wanted.reason }),
    version: before.version + 1,
    updatedAt: parts.clock.now(),
  };
  const batch = newBatch();
  updateStream(batch, before, after);
  if (wanted.status === 'disabled') {
    batch.writes.push({ sql: "DELETE FROM signal_event WHERE stream = ? AND state = 'waiting'", params: [before.id] });
  }
  if (ownerOf(caller) !== before.owner && wanted.status !== before.status) {
    const { id, audience: aud } = before;
    const now = after.updatedAt;
    const claims = {
      ...{ iss: parts.issuer(), aud, jti: `${id}.${newId(now, parts.random)}`, iat: Math.floor(now / 1000) },
      sub_id: { format: 'opaque', id },
      events: { [STREAM_UPDATED]: defined({ status: wanted.status, reason: wanted.reason }) },
    };
    pushSet(batch, id, claims, { now, state: 'notice' });
  }
  record(batch, caller, wanted.status, after);
  committed(await parts.commit(batch));
  return after;
}

export async function removeStream(
  caller: Caller,
  id: string,
  parts: ManageParts,
  { idempotency }: ManageOptions = {},
): Promise<void> {
  ask(caller, 'signal.manage', parts);
  if ((await idempotency?.first()) !== undefined) return;
  const stream = await ownStream(caller, id, parts);
  const batch = newBatch();
  deleteStream(batch, stream);
  record(batch, caller, 'deleted', stream);
  idempotency?.keep(batch, { kind: 'value', value: { id } satisfies Json });
  committed(await parts.commit(batch));
}

/** SSF 1.0 §8.1.4.2: puts a verification event into the stream. Throws `rate_limited` when one was just asked for. */
export async function verifyStream(
  caller: Caller,
  { id, state }: { readonly id: string; readonly state?: string | undefined },
  parts: ManageParts,
): Promise<void> {
  ask(caller, 'signal.manage', parts);
  const stream = await ownStream(caller, id, parts);
  if (stream.status === 'disabled') {
    throw new WritError('bad_request', 'Nothing is sent over a stream that is disabled.', {
      remedy: 'Enable it first.',
    });
  }
  const now = parts.clock.now();
  if (stream.verifiedAt !== undefined && now - stream.verifiedAt < VERIFICATION_INTERVAL * 1000) {
    throw new WritError('rate_limited', 'A verification of this stream was just asked for.', {
      remedy: `Ask once in ${VERIFICATION_INTERVAL} seconds.`,
    });
  }
  const batch = newBatch();
  updateStream(batch, stream, { ...stream, verifiedAt: now });
  const claims = {
    iss: parts.issuer(),
    aud: stream.audience,
    jti: `${id}.${newId(now, parts.random)}`,
    iat: Math.floor(now / 1000),
    sub_id: { format: 'opaque', id },
    events: { [VERIFICATION]: defined({ state }) },
  };
  pushSet(batch, id, claims, { now });
  committed(await parts.commit(batch));
}

/** SETs that could not be delivered, of all streams that a caller may see. */
export async function showDeadSets(
  caller: Caller,
  { after, limit }: { readonly after: { readonly stream: string; readonly number: number }; readonly limit: number },
  parts: ManageParts,
): Promise<readonly QueuedSet[]> {
  const seen = new Set((await showStreams(caller, parts)).map(({ id }) => id));
  const found: QueuedSet[] = [];
  let from = after;
  while (found.length < limit) {
    const sets = await deadSets(parts.reader, from, limit);
    const last = sets.at(-1);
    if (last === undefined) break;
    found.push(...sets.filter(({ stream }) => seen.has(stream)));
    from = last;
  }
  return found.slice(0, limit);
}

/** Has everything tried again that could not be delivered over a stream. */
export async function retryStream(caller: Caller, id: string, parts: ManageParts): Promise<Stream> {
  ask(caller, 'signal.manage', parts);
  const stream = await ownStream(caller, id, parts);
  const batch = newBatch();
  pushRevived(batch, id, parts.clock.now());
  record(batch, caller, 'retried', stream);
  committed(await parts.commit(batch));
  return stream;
}

function ask(caller: Caller, action: Action, { authorize }: ManageParts): void {
  demand(authorize, { caller, action, resource: INSTALLATION });
}

/** A stream outlives the instance that made it: it is that of its agent or service, or of the operator. */
function ownerOf({ id, instance }: Caller): string {
  return instance === undefined ? id : id.slice(0, id.lastIndexOf('/'));
}

/** Throws `not_found` for one that is there but somebody else's, too, so that nobody learns of it. */
export async function ownStream(caller: Caller, id: string, { reader }: Pick<ManageParts, 'reader'>): Promise<Stream> {
  const stream = await readStream(reader, id);
  if (stream !== undefined && (caller.kind === 'operator' || stream.owner === ownerOf(caller))) return stream;
  throw new WritError('not_found', 'There is no such stream.', { remedy: 'List the streams; ids are theirs.' });
}

async function deliveryOf(
  id: string,
  { method, endpoint, authorization }: NonNullable<StreamInput['delivery']>,
  { receivers, box }: ManageParts,
): Promise<Pick<Stream, 'method' | 'endpoint' | 'authorization'>> {
  if (method === 'poll') return { method };
  const url = parseReceiverUrl(endpoint ?? '', receivers, receiverAddressRule(receivers));
  return {
    method,
    endpoint: url.href,
    ...(authorization === undefined ? {} : { authorization: (await box()).close(id, authorization) }),
  };
}

/** Never holds the header: the ledger keeps everything for ever. */
function record(batch: Batch, caller: Caller, change: string, { id, owner, audience, method, endpoint }: Stream): void {
  batch.events.push({
    type: 'signal.stream_changed',
    subjects: [`stream:${id}`],
    body: { caller: caller.id, change, stream: id, owner, audience, method, ...defined({ endpoint }) },
  });
}

function defined<T extends object>(members: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as never;
}
