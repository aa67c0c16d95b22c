import { argon2, createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { WritError } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import type { Passphrase } from './passphrase.ts';

/**
 * Sealed secrets, version 1. The layout is stored for years and never changes; another one gets another version.
 *
 * ```
 *  0   4  "WRIT"
 *  4   1  version, 1
 *  5   1  key derivation, 1 = Argon2id version 0x13 (RFC 9106)
 *  6   4  memory in KiB    ┐
 * 10   4  passes           │ big-endian
 * 14   1  lanes            ┘
 * 15  16  salt
 * 31  12  nonce of AES-256-GCM
 * 43   n  ciphertext, then the tag of 16 octets
 * ```
 *
 * Associated data: octets 0 to 42, then purpose and id, so that what is sealed opens under no other name and no field
 * of the header can be exchanged. Argon2id rather than scrypt because its memory and time are set apart and RFC 9106
 * names parameters for this very use; both are built into Node.
 */
const MAGIC = Buffer.from('WRIT');
const VERSION = 1;
const ARGON2ID = 1;
const DERIVATION_END = 31;
const NONCE_END = 43;
const TAG = 16;

/** Nothing that Writ seals is longer: the largest private key, ML-DSA-87 in its expanded form, has 4 988 octets. */
const LONGEST = 8192;

/** Larger ones are refused before anything is derived, so that altered octets cannot cost a machine its memory. */
const BOUNDS = { memory: [8192, 1_048_576], passes: [1, 16], lanes: [1, 16] } as const;

/** What makes a key-encryption key out of a passphrase. */
export interface Derivation {
  /** KiB, 8 192 to 1 048 576. */
  readonly memory: number;
  /** 1 to 16. */
  readonly passes: number;
  /** 1 to 16. */
  readonly lanes: number;
  /** 16 octets. */
  readonly salt: Uint8Array;
}

/** The name under which something is sealed. Both parts are plain words or ids, without control characters. */
export interface SealedName {
  readonly id: string;
  /** What it is for, e.g. `authority`, `ledger`. */
  readonly purpose: string;
}

/** The key that seals and opens, and the derivation it came from. It never leaves memory. */
export interface KeyEncryptionKey {
  readonly derivation: Derivation;
  readonly key: KeyObject;
}

/** RFC 9106 §4, second recommended option: 64 MiB, 3 passes, 4 lanes; 100 to 300 ms on machines of today. */
export function newDerivation(random: Random): Derivation {
  return { memory: 65_536, passes: 3, lanes: 4, salt: random(16) };
}

/** Works off the event loop, for as long as the parameters of the derivation ask. */
export async function deriveKey(passphrase: Passphrase, derivation: Derivation): Promise<KeyEncryptionKey> {
  const message = passphrase.reveal();
  try {
    const octets = await promisify(argon2)('argon2id', {
      message,
      nonce: derivation.salt,
      parallelism: derivation.lanes,
      tagLength: 32,
      memory: derivation.memory,
      passes: derivation.passes,
    });
    const key = createSecretKey(octets);
    octets.fill(0);
    return { derivation, key };
  } finally {
    message.fill(0);
  }
}

/** Seals at most 8 192 octets under a name, with a fresh nonce. */
export function seal(kek: KeyEncryptionKey, name: SealedName, secret: Uint8Array, random: Random): Uint8Array {
  if (secret.length > LONGEST) throw new WritError('too_large', 'The secret to be sealed is too long.');
  const header = Buffer.concat([encodeDerivation(kek.derivation), random(NONCE_END - DERIVATION_END)]);
  const cipher = createCipheriv('aes-256-gcm', kek.key, header.subarray(DERIVATION_END));
  cipher.setAAD(associatedData(header, name));
  const sealed = Buffer.concat([header, cipher.update(secret), cipher.final(), cipher.getAuthTag()]);
  return new Uint8Array(sealed);
}

/**
 * Opens what `seal` made under the same key-encryption key and name; undefined when either is another, or an octet was
 * altered. The caller wipes what it gets. Throws `signer_failed` for what is no sealed secret of a known version.
 */
export function unseal(kek: KeyEncryptionKey, name: SealedName, sealed: Uint8Array): Buffer | undefined {
  readDerivation(sealed);
  const octets = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.length);
  const decipher = createDecipheriv('aes-256-gcm', kek.key, octets.subarray(DERIVATION_END, NONCE_END), {
    authTagLength: TAG,
  });
  decipher.setAAD(associatedData(octets.subarray(0, NONCE_END), name));
  decipher.setAuthTag(octets.subarray(octets.length - TAG));
  const secret = decipher.update(octets.subarray(NONCE_END, octets.length - TAG));
  try {
    decipher.final();
    return secret;
  } catch {
    // Not authentic: the octets are noise, or a secret that somebody tampered with. Neither is for the caller.
    secret.fill(0);
    return undefined;
  }
}

/** Reads how the key that seals `sealed` is derived. Throws `signer_failed` for anything but a bounded version 1. */
export function readDerivation(sealed: Uint8Array): Derivation {
  if (sealed.length < NONCE_END + TAG || sealed.length > NONCE_END + LONGEST + TAG) throw malformed('length');
  const octets = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.length);
  if (!octets.subarray(0, 4).equals(MAGIC)) throw malformed('first octets');
  if (octets[4] !== VERSION) {
    throw new WritError('newer_version', 'The sealed key has a version that this release does not know.', {
      remedy: 'Run the release of Writ that wrote it, or a later one.',
    });
  }
  if (octets[5] !== ARGON2ID) throw malformed('key derivation');
  const derivation = {
    memory: octets.readUInt32BE(6),
    passes: octets.readUInt32BE(10),
    lanes: octets[14]!,
    salt: new Uint8Array(octets.subarray(15, DERIVATION_END)),
  };
  for (const [name, [least, most]] of Object.entries(BOUNDS) as [keyof typeof BOUNDS, readonly [number, number]][]) {
    if (derivation[name] < least || derivation[name] > most) throw malformed(name);
  }
  return derivation;
}

/** True when keys derived by both from one passphrase are the same. */
export function sameDerivation(a: Derivation, b: Derivation): boolean {
  return encodeDerivation(a).equals(encodeDerivation(b));
}

function encodeDerivation(derivation: Derivation): Buffer {
  const octets = Buffer.alloc(DERIVATION_END);
  octets.set(MAGIC);
  octets[4] = VERSION;
  octets[5] = ARGON2ID;
  octets.writeUInt32BE(derivation.memory, 6);
  octets.writeUInt32BE(derivation.passes, 10);
  octets[14] = derivation.lanes;
  octets.set(derivation.salt, 15);
  return octets;
}

function associatedData(header: Uint8Array, name: SealedName): Buffer {
  return Buffer.concat([header, Buffer.from(`${name.purpose}\0${name.id}`)]);
}

function malformed(where: string): WritError {
  return new WritError('signer_failed', `The sealed key is damaged: its ${where} cannot be right.`, {
    remedy: 'Restore it from a backup.',
  });
}
