import { createPublicKey, type KeyObject, sign } from 'node:crypto';
import { WritError } from '../base/error.ts';
import type { SignatureAlgorithm } from '../x509/algorithm.ts';
import type { Signer } from './signer.ts';

/**
 * A signer over a private key in this process. A `KeyObject` passes to another thread by structured clone, and the
 * thread makes its own signer of it; the key's bytes are copied nowhere.
 *
 * It signs synchronously inside `sign`: the thread pool of Node costs more processor time than it frees, and gives a
 * lone request a worse tail (reference figures: 25 against 32 µs a P-256 signature).
 *
 * Throws `signer_failed` for a key that is not private or of a kind that Writ does not sign with.
 */
export function localSigner(key: KeyObject): Signer {
  const { algorithm, digest } = describe(key);
  const spki = new Uint8Array(createPublicKey(key).export({ type: 'spki', format: 'der' }));
  let held: KeyObject | undefined = key;
  return {
    algorithm,
    spki,
    async sign(messages) {
      if (held === undefined) throw new WritError('signer_failed', 'The signer is closed.');
      try {
        const signatures: Uint8Array[] = [];
        for (const message of messages) signatures.push(sign(digest, message, held));
        return signatures;
      } catch (cause) {
        throw new WritError('signer_failed', 'The private key could not sign.', { cause });
      }
    },
    async close() {
      held = undefined;
    },
  };
}

interface Description {
  readonly algorithm: SignatureAlgorithm;
  /** Null where the algorithm takes the message itself (RFC 8032, FIPS 204). */
  readonly digest: string | null;
}

function describe(key: KeyObject): Description {
  if (key.type !== 'private') throw new WritError('signer_failed', 'The key of a signer is not a private key.');
  const kind = key.asymmetricKeyType === 'ec' ? key.asymmetricKeyDetails?.namedCurve : key.asymmetricKeyType;
  const description = DESCRIPTIONS.get(kind ?? '');
  // RFC 7518 §3.3
  const weak = (key.asymmetricKeyDetails?.modulusLength ?? MIN_RSA_BITS) < MIN_RSA_BITS;
  if (description === undefined || weak) {
    throw new WritError('signer_failed', 'Writ does not sign with keys of this kind.', {
      remedy: 'Use ECDSA on P-256 or P-384, Ed25519, ML-DSA, or RSA of at least 2048 bits.',
    });
  }
  return description;
}

const MIN_RSA_BITS = 2048;

const DESCRIPTIONS: ReadonlyMap<string, Description> = new Map([
  ['prime256v1', { algorithm: 'ecdsa-p256-sha256', digest: 'sha256' }],
  ['secp384r1', { algorithm: 'ecdsa-p384-sha384', digest: 'sha384' }],
  ['ed25519', { algorithm: 'ed25519', digest: null }],
  ['ml-dsa-44', { algorithm: 'ml-dsa-44', digest: null }],
  ['ml-dsa-65', { algorithm: 'ml-dsa-65', digest: null }],
  ['ml-dsa-87', { algorithm: 'ml-dsa-87', digest: null }],
  ['rsa', { algorithm: 'rsa-pkcs1-sha256', digest: 'sha256' }],
]);
