import type { Lint } from './lint.ts';

/** Usages that only a key which can encrypt or agree has; ML-DSA and Ed25519 keys do neither (RFC 8410 §5). */
const NOT_FOR_SIGNING_KEYS = [
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'encipherOnly',
  'decipherOnly',
] as const;

/** The usages are ones that the kind of key can serve. */
export const keyUsageOfKey: Lint = {
  name: 'key_usage_of_key',
  clause: 'RFC 9881 §5',
  about: 'all',
  check({ decoded: { publicKey, keyUsage = [] } }) {
    if (publicKey.algorithm !== 'ed25519' && !publicKey.algorithm.startsWith('ml-dsa-')) return undefined;
    const wrong = NOT_FOR_SIGNING_KEYS.find((usage) => keyUsage.includes(usage));
    return wrong && `has the key usage ${wrong}, which a key of kind ${publicKey.algorithm} cannot serve`;
  },
};
