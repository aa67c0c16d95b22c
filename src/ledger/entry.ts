import { WritError } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import type { JsonValue, LedgerEvent } from '../db/batch.ts';
import { MAX_ENTRY_BYTES } from '../merkle/bundle.ts';
import { type CanonicalValue, canonicalJson, parseCanonicalJson } from '../merkle/canonical-json.ts';
import { leafHash } from '../merkle/hash.ts';
import { type EventType, isEventType, isIndexedBySubject } from './event.ts';

/** An entry ready to be appended. */
export interface Leaf {
  /** Canonical JSON, at most 65,535 octets. */
  readonly entry: Uint8Array;
  /** RFC 6962 leaf hash of the entry. */
  readonly hash: Uint8Array;
  /** The subjects that get a row in `ledger_subject`; none for issues of certificates. */
  readonly indexed: readonly string[];
}

/** An entry as it is read back. */
export interface RecordedEvent {
  readonly leaf: number;
  readonly type: EventType;
  /** When the act was prepared: milliseconds since the epoch. Neighbours may stand in another order. */
  readonly time: number;
  readonly nonce: string;
  readonly subjects: readonly string[];
  readonly body: { readonly [key: string]: JsonValue };
}

const VERSION = 1;
const NONCE_BYTES = 16;
const SUBJECT = /^[a-z]+:[^\p{Cc}\p{Zl}\p{Zp}]{1,512}$/u;
const NONCE = /^[A-Za-z0-9_-]{22}$/;

/**
 * Makes the leaf of an event: `{"body","nonce","subjects","time","type","v"}` in canonical JSON. The nonce keeps anybody
 * who sees a leaf hash from guessing a short entry. Throws `internal` for a type that is not on the list or a malformed
 * subject, `too_large` beyond 65,535 octets.
 */
export function encodeLeaf(event: LedgerEvent, at: { readonly time: number; readonly random: Random }): Leaf {
  const { type, subjects, body } = event;
  if (!isEventType(type)) throw new WritError('internal', 'an event has a type that the ledger does not know');
  if (!subjects.every((subject) => SUBJECT.test(subject))) {
    throw new WritError('internal', `an event of type ${type} has a subject that is not kind:id`);
  }
  const nonce = Buffer.from(at.random(NONCE_BYTES)).toString('base64url');
  const time = new Date(at.time).toISOString();
  const entry = Buffer.from(canonicalJson({ v: VERSION, type, time, nonce, subjects, body }));
  if (entry.length > MAX_ENTRY_BYTES) {
    throw new WritError('too_large', `an event of type ${type} does not fit into a ledger entry of 65,535 octets`);
  }
  return { entry, hash: leafHash(entry), indexed: isIndexedBySubject(type) ? [...new Set(subjects)] : [] };
}

/** The leaf of an entry that was recorded before. Throws as `decodeEntry`. */
export function recordedLeaf(entry: Uint8Array): Leaf {
  const { type, subjects } = decodeEntry(0, entry);
  return { entry, hash: leafHash(entry), indexed: isIndexedBySubject(type) ? [...new Set(subjects)] : [] };
}

/** Reads an entry strictly. Throws `ledger_corrupt` for anything that `encodeLeaf` would not have written. */
export function decodeEntry(leaf: number, entry: Uint8Array): RecordedEvent {
  let value: CanonicalValue;
  try {
    value = parseCanonicalJson(entry);
  } catch (cause) {
    throw corrupt(leaf, 'is not canonical JSON', cause);
  }
  if (!isObject(value) || Object.keys(value).join() !== 'body,nonce,subjects,time,type,v' || value['v'] !== VERSION) {
    throw corrupt(leaf, 'has not the members of version 1');
  }
  const { body, nonce, subjects, time, type } = value;
  const at = typeof time === 'string' ? Date.parse(time) : Number.NaN;
  if (!Number.isSafeInteger(at) || new Date(at).toISOString() !== time) throw corrupt(leaf, 'has no valid time');
  if (typeof type !== 'string' || !isEventType(type)) throw corrupt(leaf, 'has an unknown type');
  if (typeof nonce !== 'string' || !NONCE.test(nonce)) throw corrupt(leaf, 'has no valid nonce');
  if (!isSubjects(subjects)) throw corrupt(leaf, 'has malformed subjects');
  if (!isObject(body)) throw corrupt(leaf, 'has no body');
  return { leaf, type, time: at, nonce, subjects, body };
}

function isObject(value: CanonicalValue | undefined): value is { readonly [key: string]: CanonicalValue } {
  return typeof value === 'object' && !Array.isArray(value);
}

function isSubjects(value: CanonicalValue | undefined): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string' && SUBJECT.test(item));
}

function corrupt(leaf: number, what: string, cause?: unknown): WritError {
  return new WritError('ledger_corrupt', `entry ${leaf} of the ledger ${what}`, {
    remedy: 'Run "writ ledger verify" on a copy of the data to see how far the damage goes.',
    ...(cause === undefined ? {} : { cause }),
  });
}
