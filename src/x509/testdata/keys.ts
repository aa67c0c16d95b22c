import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { SignatureAlgorithm } from '../algorithm.ts';

/** A key pair for tests that signs as X.509 wants it. */
export interface TestKey {
  readonly algorithm: SignatureAlgorithm;
  readonly spki: Uint8Array;
  readonly privateKey: KeyObject;
  readonly sign: (message: Uint8Array) => Uint8Array;
}

/** What Writ's authorities and subjects sign with. */
export const ISSUING_ALGORITHMS: readonly SignatureAlgorithm[] = [
  'ecdsa-p256-sha256',
  'ecdsa-p384-sha384',
  'ed25519',
  'ml-dsa-44',
  'ml-dsa-65',
  'ml-dsa-87',
];

/** All that can be verified. */
export const ALL_ALGORITHMS: readonly SignatureAlgorithm[] = [
  ...ISSUING_ALGORITHMS,
  'ecdsa-p521-sha512',
  'rsa-pkcs1-sha256',
  'rsa-pkcs1-sha384',
  'rsa-pkcs1-sha512',
  'rsa-pss-sha256',
  'rsa-pss-sha384',
  'rsa-pss-sha512',
];

const made = new Map<SignatureAlgorithm, TestKey>();

/** The key of this test process for `algorithm`: always the same one. */
export function testKey(algorithm: SignatureAlgorithm): TestKey {
  const known = made.get(algorithm);
  if (known !== undefined) return known;
  const key = newTestKey(algorithm);
  made.set(algorithm, key);
  return key;
}

export function newTestKey(algorithm: SignatureAlgorithm): TestKey {
  const { publicKey, privateKey } = generate(algorithm);
  const spki = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }));
  const digest = /sha\d+$/.exec(algorithm)?.[0] ?? null;
  const input = algorithm.startsWith('rsa-pss-')
    ? { key: privateKey, padding: 6, saltLength: Number(digest!.slice(3)) / 8 }
    : privateKey;
  return { algorithm, spki, privateKey, sign: (message) => new Uint8Array(sign(digest, message, input)) };
}

function generate(algorithm: SignatureAlgorithm): { publicKey: KeyObject; privateKey: KeyObject } {
  const curve = /^ecdsa-p(\d+)-/.exec(algorithm)?.[1];
  if (curve !== undefined) return generateKeyPairSync('ec', { namedCurve: `P-${curve}` });
  if (algorithm.startsWith('rsa-')) return rsa();
  return generateKeyPairSync(algorithm as 'ed25519');
}

let rsaPair: { publicKey: KeyObject; privateKey: KeyObject } | undefined;

/** One for all RSA algorithms, because it takes long to make. */
function rsa(): { publicKey: KeyObject; privateKey: KeyObject } {
  rsaPair ??= generateKeyPairSync('rsa', { modulusLength: 2048 });
  return rsaPair;
}
