import { generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';

/** What an instance holds: its key, its certificate, what it sends along, and whom it trusts. */
export interface Credential {
  readonly key: KeyObject;
  readonly spiffeId: string;
  /** Lower-case hex. */
  readonly serial: string;
  /** PEM. */
  readonly certificate: string;
  /** PEM, issuing authority first, without the root. */
  readonly chain: readonly string[];
  /** PEM of each trusted root. */
  readonly roots: readonly string[];
  /** Milliseconds since the Unix epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** When the server would like to see it renewed. */
  readonly renewAfter: number;
}

const generate = promisify(generateKeyPair);

/** A fresh P-256 key. It is made here and never leaves, but for `Credential` files that the owner asks for. */
export async function newKey(): Promise<KeyObject> {
  const { privateKey } = await generate('ec', { namedCurve: 'P-256' });
  return privateKey;
}
