import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { encodePem } from '../../../src/der/pem.ts';
import type { SignatureAlgorithm } from '../../../src/x509/algorithm.ts';
import { encodeCsr } from '../../../src/x509/csr.ts';
import { encodeSubjectAltName, SUBJECT_ALT_NAME } from '../../../src/x509/extensions/subject-alt-name.ts';
import type { GeneralName } from '../../../src/x509/general-name.ts';
import { encodeName } from '../../../src/x509/name.ts';
import { extension } from '../../../src/x509/path/testdata/issue.ts';
import type { Files } from './files.ts';

const dns = (value: string): GeneralName => ({ kind: 'dns', value });

export async function requests(): Promise<Record<string, Files>> {
  const csr: Record<string, Uint8Array> = {};
  const keys: Record<string, Uint8Array> = {};
  const kinds: readonly (readonly [string, SignatureAlgorithm, { privateKey: KeyObject; publicKey: KeyObject }])[] = [
    ['p256', 'ecdsa-p256-sha256', generateKeyPairSync('ec', { namedCurve: 'P-256' })],
    ['p384', 'ecdsa-p384-sha384', generateKeyPairSync('ec', { namedCurve: 'P-384' })],
    ['ed25519', 'ed25519', generateKeyPairSync('ed25519')],
    ['rsa', 'rsa-pkcs1-sha256', generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ['ml-dsa-44', 'ml-dsa-44', generateKeyPairSync('ml-dsa-44')],
  ];
  const wanted = extension(SUBJECT_ALT_NAME, encodeSubjectAltName([dns('a.agents.test')]));
  for (const [kind, algorithm, { privateKey, publicKey }] of kinds) {
    const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }));
    const digest = /sha\d+$/.exec(algorithm)?.[0] ?? null;
    const subject = kind === 'p256' ? encodeName([['CN', 'planner']]) : encodeName([]);
    keys[`ok-${kind}`] = spki;
    csr[`ok-${kind}`] = await encodeCsr({
      spki,
      algorithm,
      subject,
      extensions: kind === 'p256' ? [wanted] : [],
      sign: async (message) => sign(digest, message, privateKey),
    });
  }
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ type: 'spki', format: 'der' });
  const forged = Uint8Array.from(csr['ok-ed25519']!);
  forged[forged.length - 1]! ^= 1;
  const offCurve = Uint8Array.from(keys['ok-p256']!);
  offCurve[offCurve.length - 1]! ^= 1;
  return {
    'public-key': { ...keys, 'refused-weak-rsa': weak, 'refused-off-curve': offCurve },
    csr: { ...csr, 'refused-forged': forged },
    'csr-text': {
      'ok-pem': encodePem('CERTIFICATE REQUEST', csr['ok-p256']!),
      'ok-base64': Buffer.from(csr['ok-p256']!).toString('base64'),
      'refused-other': encodePem('CERTIFICATE', csr['ok-p256']!),
    },
  };
}
