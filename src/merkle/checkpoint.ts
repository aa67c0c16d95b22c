import { WritError } from '../base/error.ts';
import { fromBase64, toBase64 } from './base64.ts';
import { HASH_SIZE } from './hash.ts';

/** A tree head as a note says it (C2SP tlog-checkpoint v1.0.0). */
export interface Checkpoint {
  /** The log's one name, e.g. `corp.example/ledger`. */
  readonly origin: string;
  readonly size: number;
  /** MTH of the tree, 32 octets. */
  readonly root: Uint8Array;
}

/** The text that is signed: origin, size, root, each a line. Writ makes no extension lines. */
export function formatCheckpoint(checkpoint: Checkpoint): string {
  return `${checkpoint.origin}\n${checkpoint.size}\n${toBase64(checkpoint.root)}\n`;
}

/** Reads a checkpoint's text. Extension lines are refused as well: this log has none, and the cosignature skips them. */
export function parseCheckpoint(text: string): Checkpoint {
  const lines = text.split('\n');
  if (lines.length !== 4 || lines[3] !== '') throw bad('has not exactly three lines');
  const [origin, decimal, encoded] = lines as [string, string, string, string];
  if (origin === '') throw bad('has no origin');
  const size = /^(0|[1-9]\d{0,15})$/.test(decimal) ? Number(decimal) : Number.NaN;
  if (!Number.isSafeInteger(size)) throw bad('has no valid tree size');
  const root = fromBase64(encoded);
  if (root?.length !== HASH_SIZE) throw bad('has no valid root hash');
  return { origin, size, root };
}

function bad(what: string): WritError {
  return new WritError('bad_note', `the checkpoint ${what}`, {
    remedy: 'A checkpoint reads origin, tree size and root hash, a line each (C2SP tlog-checkpoint).',
  });
}
