import { createCipheriv, createDecipheriv, hkdfSync, type KeyObject } from 'node:crypto';
import type { Random } from '../base/random.ts';

/** Keeps small secrets of others (a header that a receiver wants to see, say) so that the database alone opens none. */
export interface SecretBox {
  /** `context` says what the secret belongs to; it opens under no other. */
  close(context: string, secret: string): Uint8Array;
  /** Undefined when it was altered, exchanged, or closed under another key. */
  open(context: string, closed: Uint8Array): string | undefined;
}

const NONCE = 12;
const TAG = 16;

/**
 * A box under a private key that lies sealed like every other, so that a change of the passphrase reaches it. Layout,
 * stored for years: nonce of 12 octets, ciphertext, tag of 16 (AES-256-GCM under HKDF-SHA-256 of the PKCS#8 octets).
 */
export function secretBox(key: KeyObject, random: Random): SecretBox {
  const octets = key.export({ type: 'pkcs8', format: 'der' });
  const secret = new Uint8Array(hkdfSync('sha256', octets, new Uint8Array(0), 'writ secret box 1', 32));
  octets.fill(0);
  return {
    close(context, text) {
      const nonce = random(NONCE);
      const cipher = createCipheriv('aes-256-gcm', secret, nonce);
      cipher.setAAD(Buffer.from(context, 'utf8'));
      return new Uint8Array(Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]));
    },
    open(context, closed) {
      if (closed.length < NONCE + TAG) return undefined;
      const decipher = createDecipheriv('aes-256-gcm', secret, closed.subarray(0, NONCE), { authTagLength: TAG });
      decipher.setAAD(Buffer.from(context, 'utf8'));
      decipher.setAuthTag(closed.subarray(-TAG));
      try {
        const text = decipher.update(closed.subarray(NONCE, -TAG));
        decipher.final();
        return text.toString('utf8');
      } catch {
        return undefined;
      }
    },
  };
}
