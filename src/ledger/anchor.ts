import type { Reader } from '../db/database.ts';
import type { NoteKey } from '../merkle/note-key.ts';
import type { Head } from './head.ts';
import type { LogSigner } from './log-signer.ts';
export interface Anchor {
  compare(reader: Reader, head: Head, keys: readonly NoteKey[]): Promise<void>;
  follow(reader: Reader, signer: LogSigner): Promise<void>;
  saveCheckpoint(note: string): Promise<void>;
}
