import { generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';

/** The kinds of key that Writ makes, by the names that `--algorithm` takes. */
export const KEY_ALGORITHMS = ['ecdsa-p256', 'ecdsa-p384', 'ed25519', 'ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'] as const;

export type KeyAlgorithm = (typeof KEY_ALGORITHMS)[number];

/** True for the name of a kind of key that `generateKey` makes. */
export function isKeyAlgorithm(text: string): text is KeyAlgorithm {
  return (KEY_ALGORITHMS as readonly string[]).includes(text);
}

// @types/node has one overload a kind of key; here the kind is only known at run time.
const generate = promisify(generateKeyPair) as unknown as (
  type: string,
  options: object,
) => Promise<{ privateKey: KeyObject }>;

/** Makes a private key, off the event loop, from the random generator of OpenSSL. */
export async function generateKey(algorithm: KeyAlgorithm): Promise<KeyObject> {
  const [type, options] = PARAMETERS[algorithm];
  return (await generate(type, options)).privateKey;
}

/** Makes an RSA key of 2048 bits. No authority has one: it is for tokens whose receivers verify nothing else. */
export async function generateRsaKey(): Promise<KeyObject> {
  return (await generate('rsa', { modulusLength: 2048, publicExponent: 65_537 })).privateKey;
}

const PARAMETERS: Readonly<Record<KeyAlgorithm, readonly [type: string, options: object]>> = {
  'ecdsa-p256': ['ec', { namedCurve: 'P-256' }],
  'ecdsa-p384': ['ec', { namedCurve: 'P-384' }],
  ed25519: ['ed25519', {}],
  'ml-dsa-44': ['ml-dsa-44', {}],
  'ml-dsa-65': ['ml-dsa-65', {}],
  'ml-dsa-87': ['ml-dsa-87', {}],
};
