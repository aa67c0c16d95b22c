import type { MessagePort } from 'node:worker_threads';
import type { TlsIdentity } from '../../http/tls.ts';
import type { Keyring } from '../../keys/keyring.ts';
import type { Config } from '../config/config.ts';
import type { LedgerKeyPair } from '../ledger-keys.ts';

/** What the writer thread is started with. */
export interface WriterData {
  readonly config: Config;
  /** Path of the embedded database. */
  readonly database: string;
  readonly ledgerKeys: LedgerKeyPair;
  readonly epochMemory: SharedArrayBuffer;
  /** One end for each thread that commits. */
  readonly commitPorts: readonly MessagePort[];
}

export type ToWriter =
  /** Drop what expired before this time (milliseconds), a little at a time, while nobody waits. */
  { readonly kind: 'purge'; readonly before: number } | { readonly kind: 'stop' };

export type FromWriter =
  | { readonly kind: 'ready' }
  | { readonly kind: 'stopped' }
  /** Why the thread could not start, as a `WritError`'s members: class instances do not survive the port. */
  | { readonly kind: 'failed'; readonly error: ErrorMembers };

/** What a request thread is started with. */
export interface RequestData {
  readonly config: Config;
  readonly database: string;
  readonly number: number;
  readonly keyring: Keyring;
  readonly epochMemory: SharedArrayBuffer;
  readonly metricsMemory: SharedArrayBuffer;
  readonly commitPort: MessagePort;
  readonly identity: TlsIdentity;
  /** Where to listen; a port of 0 has been replaced by the one that the first thread was given. */
  readonly listen: Config['listen'];
}

export type ToRequest =
  | { readonly kind: 'identity'; readonly identity: TlsIdentity }
  /** After a change of the passphrase. */
  | { readonly kind: 'keyring'; readonly keyring: Keyring }
  | { readonly kind: 'stop'; readonly graceMs: number };

export type FromRequest =
  | {
      readonly kind: 'ready';
      readonly ports: { readonly api: number; readonly public: number; readonly plain: number };
    }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'failed'; readonly error: ErrorMembers };

export interface ErrorMembers {
  readonly code: string;
  readonly message: string;
  readonly field: string | undefined;
  readonly remedy: string | undefined;
}
