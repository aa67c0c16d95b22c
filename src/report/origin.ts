import type { JsonValue } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import type { RecordedEvent } from '../ledger/entry.ts';
import { eventsOf } from '../ledger/history.ts';

/** Why something fell: who stopped it or what it hangs on, on whose authority, and what for. */
export interface StopOrigin {
  /** Of the stop, and what it was about; absent where this is all that was stopped. */
  readonly stop?: { readonly id: string; readonly kind: string; readonly name: string };
  /** Caller id. */
  readonly stoppedBy: string;
  /** The rules that allowed it. */
  readonly authority: readonly string[];
  readonly cause: string;
  readonly evidence?: string;
  /** Caller id of the other person who made it one for ever. */
  readonly confirmedBy?: string;
}

/** Gives for entries of things that fell with something else why they did. A stop is looked up once. */
export function originsOf(reader: Reader): (event: RecordedEvent) => Promise<StopOrigin | undefined> {
  const known = new Map<string, Promise<StopOrigin | undefined>>();
  return async ({ body }) => {
    const id = body['cascade_origin'];
    if (typeof id !== 'string') return undefined;
    const origin = known.get(id) ?? originOf(reader, id);
    known.set(id, origin);
    return origin;
  };
}

/**
 * Why a certificate is revoked or held, from the latest entry under its own serial number (hex) that says so. Undefined
 * where none does, yet.
 */
export async function whyStopped(
  reader: Reader,
  serial: string,
  { revoked }: { readonly revoked: boolean },
): Promise<StopOrigin | undefined> {
  const type = revoked ? 'certificate.revoked' : 'certificate.quarantined';
  const event = (await eventsOf(reader, { subject: `serial:${serial}`, limit: 1000 })).findLast(
    (one) => one.type === type,
  );
  if (event === undefined) return undefined;
  const id = event.body['cascade_origin'] ?? event.body['stop'];
  return typeof id === 'string' ? originOf(reader, id) : saidBy(event);
}

/** What the entries of a stop say of it. */
async function originOf(reader: Reader, id: string): Promise<StopOrigin | undefined> {
  const events = await eventsOf(reader, { subject: `stop:${id}`, limit: 100 });
  const begun = events.find(({ type, body }) => type.endsWith('.quarantined') && body['stop'] === id);
  if (begun === undefined) return undefined;
  const confirmed = events.findLast(({ type }) => type === 'stop.confirmed');
  const by = confirmed === undefined ? undefined : text(confirmed.body['caller']);
  const origin = saidBy(begun);
  return {
    ...origin,
    stop: { id, kind: text(begun.body['kind']), name: text(begun.body['target']) },
    cause: text(confirmed?.body['cause'] ?? begun.body['cause']),
    ...(by === undefined || by === origin.stoppedBy ? {} : { confirmedBy: by }),
  };
}

function saidBy({ body }: RecordedEvent): StopOrigin {
  const rules = body['authority'];
  return {
    stoppedBy: text(body['caller']),
    authority: Array.isArray(rules) ? rules.map(text) : [],
    cause: text(body['cause']),
    ...(body['evidence'] === undefined ? {} : { evidence: text(body['evidence']) }),
  };
}

function text(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : '';
}
