import type { KeyObject } from 'node:crypto';
import type { Random } from '../base/random.ts';
import type { Batch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import { generateKey } from '../keys/generate.ts';
import { addKey, type Keyring, openKey } from '../keys/keyring.ts';
import { localSigner } from '../keys/local.ts';
import type { LedgerKeys } from '../ledger/log-signer.ts';

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
