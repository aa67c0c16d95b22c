import { WritError } from '../base/error.ts';
import type { Signer } from '../keys/signer.ts';
import { formatCheckpoint } from '../merkle/checkpoint.ts';
import { cosignatureMessage } from '../merkle/cosignature.ts';
import { formatNote, noteSignature, parseNote } from '../merkle/note.ts';
import { NOTE_ED25519, NOTE_ML_DSA_44, type NoteKey, noteKey } from '../merkle/note-key.ts';

/** The two private keys of the ledger. Only the sequencer holds them; they sign nothing else. */
export interface LedgerKeys {
  /** Ed25519: signs the checkpoint of every commit, and the lines of the anchor. */
  readonly checkpoint: Signer;
  /** ML-DSA-44: cosigns checkpoints at intervals. */
  readonly cosignature: Signer;
}

/** Signs the heads of one log under its origin. */
export interface LogSigner {
  readonly origin: string;
  /** Ed25519, then ML-DSA-44. */
  readonly keys: readonly [NoteKey, NoteKey];
  /** The checkpoint of a tree as a note signed with Ed25519. */
  sign(size: number, root: Uint8Array): Promise<string>;
  /** Ed25519 over a record of the anchor (`anchor-record.ts`). */
  signRecord(message: Uint8Array): Promise<Uint8Array>;
  /** The same note with the log's own ML-DSA-44 cosignature behind what it has. `now` in milliseconds. */
  cosign(note: string, now: number): Promise<string>;
}

/** Names the log of a trust domain: the first is `<trust-domain>/ledger`, then `…/ledger-2`. Never two by one name. */
export function logOrigin(trustDomain: string, log: number): string {
  return log === 1 ? `${trustDomain}/ledger` : `${trustDomain}/ledger-${log}`;
}

/** The trust domain in an origin that `logOrigin` made. */
export function logDomain(origin: string): string {
  return origin.replace(ORIGIN_END, '');
}

/** The number of the log in an origin that `logOrigin` made. */
export function logNumber(origin: string): number {
  return Number(ORIGIN_END.exec(origin)?.[1] ?? 1);
}

const ORIGIN_END = /\/ledger(?:-(\d{1,9}))?$/;

/** Throws `bad_note` for keys of other kinds or an origin that cannot name a key. */
export function logSigner(origin: string, { checkpoint, cosignature }: LedgerKeys): LogSigner {
  const keys = [noteKey(origin, checkpoint.spki), noteKey(origin, cosignature.spki)] as const;
  if (keys[0].type !== NOTE_ED25519 || keys[1].type !== NOTE_ML_DSA_44) {
    throw new WritError('bad_note', 'the ledger signs with an Ed25519 and an ML-DSA-44 key');
  }
  return {
    origin,
    keys,
    async sign(size, root) {
      const text = formatCheckpoint({ origin, size, root });
      const [signature] = await checkpoint.sign([Buffer.from(text)]);
      return formatNote({ text, signatures: [noteSignature(keys[0], signature!)] });
    },
    async signRecord(message) {
      const [signature] = await checkpoint.sign([message]);
      return signature!;
    },
    async cosign(note, now) {
      const { text, signatures } = parseNote(note);
      const timestamp = BigInt(Math.floor(now / 1000));
      const message = cosignatureMessage({ cosigner: origin, timestamp, checkpoint: text });
      if (message === undefined)
        throw new WritError('internal', 'a checkpoint that cannot be cosigned was about to be');
      const [signature] = await cosignature.sign([message]);
      const stamped = Buffer.alloc(8 + signature!.length);
      stamped.writeBigUInt64BE(timestamp);
      stamped.set(signature!, 8);
      return formatNote({ text, signatures: [...signatures, noteSignature(keys[1], stamped)] });
    },
  };
}
