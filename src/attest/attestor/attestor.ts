import type { AttestorSettings } from '../../wire/attestor.ts';

/** A configured source of evidence. Its settings never change: another is added under another name. */
export interface Attestor {
  readonly name: string;
  readonly settings: AttestorSettings;
  /** Milliseconds. */
  readonly createdAt: number;
  /** Caller id. */
  readonly createdBy: string;
}

/** An attestor as it is shown. */
export interface ShownAttestor extends Attestor {
  /** How many registration entries rest on it. */
  readonly entries: number;
}
