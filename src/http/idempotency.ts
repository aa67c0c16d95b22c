import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import { WritError } from '../base/error.ts';
import { sha256 } from '../base/sha256.ts';

/** How long the first answer is kept (DESIGN §3.8). */
export const KEY_LIFETIME_MS: number = 24 * 60 * 60 * 1000;

/** What is kept of an answer. */
export type Answer =
  /** The name under which the result can be read again: a serial number in hex, an id. Certificates are kept so. */
  | { readonly kind: 'reference'; readonly reference: string }
  /** The result itself, as JSON. */
  | { readonly kind: 'value'; readonly value: Json }
  /**
   * A result that holds a secret shown once (a join token). It is sealed under the caller's own idempotency key, of
   * which the database holds a hash, so that a stolen database does not open it.
   */
  | { readonly kind: 'secret'; readonly value: Json };

export type Json = string | number | boolean | readonly Json[] | { readonly [key: string]: Json | undefined };

/**
 * One request's idempotency key, made by a door and handed to a flow. A flow uses it in two places:
 *
 * 1. Once the caller is authorised and before the flow looks at anything that its own act changes: `await first()`.
 *    An answer there is the result of this very request; the flow reads or decodes it and returns it as its own.
 *    Being called after the authorisation, a repeat is authorised afresh.
 * 2. Before it commits: `keep(batch, answer)`.
 *
 * Of two equal requests in flight both work, one commits, the other's commit is refused with `conflict`. The flow
 * reports that as any refusal; the door then runs the flow again, and `first()` has the answer.
 */
export interface Idempotency {
  /** Throws `idempotency_mismatch` when the key stood for another request. */
  first(): Promise<Answer | undefined>;
  /** Adds the condition that the key is unused, and the row that keeps the answer. At most once a batch. */
  keep(batch: ActsUnderKey, answer: Answer): void;
}

/** The part of a `Batch` of `db/` that this folder, which stands beside it, writes to. */
interface ActsUnderKey {
  readonly checks: { push(check: UnusedKey): unknown };
  readonly writes: { push(write: KeptAnswer): unknown };
}

interface UnusedKey {
  readonly sql: string;
  readonly params: readonly (string | number | Uint8Array)[];
  readonly want: 'absent';
  readonly refusal: 'conflict';
  readonly reason: string;
}

interface KeptAnswer {
  readonly sql: string;
  readonly params: readonly (string | number | Uint8Array)[];
}

/** The one query of a `Reader` of `db/` that is needed here. */
export interface AnswerReader {
  get(
    sql: string,
    params: readonly (string | number | Uint8Array)[],
  ): Promise<Readonly<Record<string, unknown>> | undefined>;
}

export interface KeyedRequest {
  /**
   * Whose key it is: `Caller.id`; for callers without a certificate what stands in for it, so that strangers cannot
   * meet under one key (enrolment: a hash of the join token).
   */
  readonly caller: string;
  /** Method and route template, e.g. `POST /v1/certificates`. */
  readonly route: string;
  /** The header's value, already parsed by `parseIdempotencyKey`, or a key derived by a protocol door. */
  readonly key: string;
  /** The request target as sent (path and query), which may name a different resource of the same route. */
  readonly target: string;
  readonly body: Uint8Array;
}

const SHAPE = /^[\x21\x23-\x5b\x5d-\x7e]{16,255}$/;

/**
 * Takes the value of an `Idempotency-Key` header, with or without the quotes of a structured-field string: 16 to 255
 * visible ASCII characters without quote and backslash. Sixteen, because answers that hold a secret are sealed under
 * it; a random UUID is right. Throws `bad_request`.
 */
export function parseIdempotencyKey(header: string): string {
  const text = header.length > 1 && header.startsWith('"') && header.endsWith('"') ? header.slice(1, -1) : header;
  if (SHAPE.test(text)) return text;
  throw new WritError('bad_request', 'The Idempotency-Key header is not 16 to 255 visible ASCII characters.', {
    field: 'Idempotency-Key',
    remedy: 'Send a random UUID, and the same one when the request is repeated.',
  });
}

/** Binds a key to its request. Reads and commits nothing by itself. */
export function idempotencyOf(request: KeyedRequest, reader: AnswerReader, clock: Clock): Idempotency {
  const scope = sha256(`${request.caller}\n${request.route}\n${request.key}`);
  const digest = sha256(Buffer.concat([Buffer.from(`${request.target}\n`), request.body]));
  return {
    async first() {
      const row = await reader.get(FIND, [scope, clock.now()]);
      if (row === undefined) return undefined;
      if (Buffer.compare(digest, row['request'] as Uint8Array) !== 0) throw mismatch();
      return decode(row['kind'] as string, row['answer'] as Uint8Array, request.key, scope);
    },
    keep(batch, answer) {
      const now = clock.now();
      batch.checks.push({
        sql: UNUSED,
        params: [scope, now],
        want: 'absent',
        refusal: 'conflict',
        reason: 'A request with this idempotency key was committed meanwhile.',
      });
      batch.writes.push({
        sql: KEEP,
        params: [scope, digest, answer.kind, encode(answer, request.key, scope), now + KEY_LIFETIME_MS],
      });
    },
  };
}

/**
 * The statement that removes at most `limit` answers past their time. Run it in a batch of its own, again and again
 * while it still finds rows, with pauses: no single step may hold the writer for long.
 */
export function purgeExpiredAnswers(now: number, limit: number): KeptAnswer {
  return { sql: PURGE, params: [now, limit] };
}

/** Whether there is anything for `purgeExpiredAnswers`. */
export async function hasExpiredAnswers(reader: AnswerReader, now: number): Promise<boolean> {
  return (await reader.get('SELECT 1 FROM idempotency WHERE expires_at <= ?', [now])) !== undefined;
}

const FIND = 'SELECT request, kind, answer FROM idempotency WHERE scope = ? AND expires_at > ?';
const UNUSED = 'SELECT 1 FROM idempotency WHERE scope = ? AND expires_at > ?';
// A row past its time, not purged yet, gives way. A live one was ruled out by the check, under the lock of the head.
const KEEP =
  'INSERT INTO idempotency (scope, request, kind, answer, expires_at) VALUES (?, ?, ?, ?, ?) ' +
  'ON CONFLICT (scope) DO UPDATE SET request = excluded.request, kind = excluded.kind, answer = excluded.answer, ' +
  'expires_at = excluded.expires_at';
const PURGE =
  'DELETE FROM idempotency WHERE scope IN ' +
  '(SELECT scope FROM idempotency WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)';

function encode(answer: Answer, key: string, scope: Uint8Array): Uint8Array {
  if (answer.kind === 'reference') return Buffer.from(answer.reference, 'utf8');
  const text = Buffer.from(JSON.stringify(answer.value), 'utf8');
  return answer.kind === 'value' ? text : seal(text, key, scope);
}

function decode(kind: string, stored: Uint8Array, key: string, scope: Uint8Array): Answer {
  if (kind === 'reference') return { kind, reference: Buffer.from(stored).toString('utf8') };
  const text = kind === 'secret' ? open(stored, key, scope) : stored;
  const value = JSON.parse(Buffer.from(text).toString('utf8')) as Json;
  return kind === 'secret' ? { kind, value } : { kind: 'value', value };
}

const SALT = 16;
const TAG = 16;

/** Salt ‖ tag ‖ ciphertext. Each salt gives a fresh key and nonce, so that no pair is used twice. */
function seal(text: Uint8Array, key: string, scope: Uint8Array): Uint8Array {
  const salt = randomBytes(SALT);
  const derived = derive(key, salt, scope);
  const cipher = createCipheriv('aes-256-gcm', derived.subarray(0, 32), derived.subarray(32));
  const sealed = Buffer.concat([cipher.update(text), cipher.final()]);
  return Buffer.concat([salt, cipher.getAuthTag(), sealed]);
}

function open(stored: Uint8Array, key: string, scope: Uint8Array): Uint8Array {
  const derived = derive(key, stored.subarray(0, SALT), scope);
  const cipher = createDecipheriv('aes-256-gcm', derived.subarray(0, 32), derived.subarray(32), {
    authTagLength: TAG,
  });
  cipher.setAuthTag(stored.subarray(SALT, SALT + TAG));
  return Buffer.concat([cipher.update(stored.subarray(SALT + TAG)), cipher.final()]);
}

function derive(key: string, salt: Uint8Array, scope: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', key, salt, scope, 44));
}

function mismatch(): WritError {
  return new WritError('idempotency_mismatch', 'This idempotency key was used before for another request.', {
    field: 'Idempotency-Key',
    remedy: 'Repeat the first request unchanged, or use a new key.',
  });
}
