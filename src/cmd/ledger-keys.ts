import type { KeyObject } from 'node:crypto';
import type { Random } from '../base/random.ts';
import type { Batch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import { generateKey } from '../keys/generate.ts';
import { addKey, type Keyring, openKey } from '../keys/keyring.ts';
import { localSigner } from '../keys/local.ts';
import { readHead } from '../ledger/head.ts';
import type { LedgerKeys } from '../ledger/log-signer.ts';
import { formatVerifierKey, type NoteKey, noteKey } from '../merkle/note-key.ts';

/** The private keys of the ledger. They pass to the writer thread as they are. */
export interface LedgerKeyPair {
  readonly checkpoint: KeyObject;
  readonly cosignature: KeyObject;
}

/** The names under which they are sealed. Stored; never change. */
const CHECKPOINT = { id: 'ledger-checkpoint', purpose: 'ledger' };
const COSIGNATURE = { id: 'ledger-cosignature', purpose: 'ledger' };

/** Makes both and pushes them, sealed. */
export async function addLedgerKeys(
  batch: Batch,
  keyring: Keyring,
  { now, random }: { readonly now: number; readonly random: Random },
): Promise<void> {
  addKey(batch, keyring, { ...CHECKPOINT, key: await generateKey('ed25519'), now, random });
  addKey(batch, keyring, { ...COSIGNATURE, key: await generateKey('ml-dsa-44'), now, random });
}

export async function openLedgerKeys(reader: Reader, keyring: Keyring): Promise<LedgerKeyPair> {
  return {
    checkpoint: await openKey(reader, keyring, CHECKPOINT),
    cosignature: await openKey(reader, keyring, COSIGNATURE),
  };
}

export function ledgerSigners(keys: LedgerKeyPair): LedgerKeys {
  return { checkpoint: localSigner(keys.checkpoint), cosignature: localSigner(keys.cosignature) };
}

/** The public keys of the ledger under the name of its present log: Ed25519, then ML-DSA-44. */
export async function ledgerNoteKeys(reader: Reader): Promise<readonly NoteKey[]> {
  const head = await readHead(reader);
  if (head === undefined) return [];
  const keys: NoteKey[] = [];
  for (const { id, purpose } of [CHECKPOINT, COSIGNATURE]) {
    const row = await reader.get('SELECT spki FROM sealed_key WHERE id = ? AND purpose = ?', [id, purpose]);
    keys.push(noteKey(head.origin, row!['spki'] as Uint8Array));
  }
  return keys;
}

/** The same as C2SP verifier keys, one a line: what a verifier needs beside a checkpoint. */
export async function verifierKeys(reader: Reader): Promise<string> {
  return (await ledgerNoteKeys(reader)).map((key) => `${formatVerifierKey(key)}\n`).join('');
}
