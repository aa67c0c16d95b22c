import { isWritError } from '../base/error.ts';
import { fromBase64, toBase64 } from '../merkle/base64.ts';
import { type CanonicalValue, canonicalJson, parseCanonicalJson } from '../merkle/canonical-json.ts';
import { type NoteKey, verifyEd25519 } from '../merkle/note-key.ts';
import type { LogSigner } from './log-signer.ts';

/** The leaves of one batch that had to be durable outside the database, too. */
export interface AnchoredBatch {
  /** Ledger index of the first entry. */
  readonly first: number;
  readonly entries: readonly Uint8Array[];
}

/** One line of the anchor: batches that were committed together, in order of their leaves. */
export interface AnchorRecord {
  readonly origin: string;
  readonly batches: readonly AnchoredBatch[];
}

/** Says what the signature is for: no checkpoint can begin like this, since it would be the log's origin. */
const DOMAIN = 'writ-anchor/v1\n';

/** The record as a line without its line feed: canonical JSON that carries its own Ed25519 signature. */
export async function formatAnchorRecord(batches: readonly AnchoredBatch[], signer: LogSigner): Promise<string> {
  const record = recordValue({ origin: signer.origin, batches });
  const signature = await signer.signRecord(signedBytes(record));
  return canonicalJson({ ...record, signature: toBase64(signature) });
}

/** Reads a line strictly and verifies it with the key of the log that it names; undefined for anything else. */
export function parseAnchorRecord(
  line: Uint8Array,
  keyOf: (origin: string) => NoteKey | undefined,
): AnchorRecord | undefined {
  let value: CanonicalValue;
  try {
    value = parseCanonicalJson(line);
  } catch (error) {
    if (isWritError(error, 'bad_request')) return undefined;
    throw error;
  }
  if (!hasMembers(value, 'batches,origin,signature')) return undefined;
  const { batches, origin, signature } = value;
  if (typeof origin !== 'string' || typeof signature !== 'string' || !Array.isArray(batches)) return undefined;
  const parsed = batches.map(parseBatch);
  if (!parsed.every((batch) => batch !== undefined) || parsed.length === 0) return undefined;
  const bytes = fromBase64(signature);
  const key = keyOf(origin);
  if (bytes === undefined || key === undefined) return undefined;
  const record = { origin, batches: parsed };
  return verifyEd25519(key, signedBytes(recordValue(record)), bytes) ? record : undefined;
}

function recordValue({ origin, batches }: AnchorRecord): { readonly [key: string]: CanonicalValue } {
  return { origin, batches: batches.map(({ first, entries }) => ({ first, entries: entries.map(toBase64) })) };
}

function signedBytes(record: { readonly [key: string]: CanonicalValue }): Uint8Array {
  return Buffer.from(DOMAIN + canonicalJson(record));
}

function parseBatch(value: CanonicalValue): AnchoredBatch | undefined {
  if (!hasMembers(value, 'entries,first')) return undefined;
  const { first, entries } = value;
  if (typeof first !== 'number' || first < 0 || !Array.isArray(entries)) return undefined;
  const bytes = entries.map((entry) => (typeof entry === 'string' ? fromBase64(entry) : undefined));
  return bytes.every((entry) => entry !== undefined) ? { first, entries: bytes } : undefined;
}

function hasMembers(value: CanonicalValue, names: string): value is { readonly [key: string]: CanonicalValue } {
  return typeof value === 'object' && !Array.isArray(value) && Object.keys(value).join() === names;
}
