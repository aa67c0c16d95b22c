import { hkdfSync } from 'node:crypto';
import type { Keyring } from './keyring.ts';

/**
 * A secret of 32 octets for one purpose, the same for every process that has opened the keyring, and another after each
 * change of the passphrase: for what lives for minutes. Nothing that is made with it leads back to the passphrase without
 * what lies in the database.
 */
export function derivedSecret({ kek }: Pick<Keyring, 'kek'>, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', kek.key, new Uint8Array(0), `writ ${purpose} 1`, 32));
}
