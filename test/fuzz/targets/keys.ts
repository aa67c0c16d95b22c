import { readDerivation } from '../../../src/keys/sealed.ts';
import type { Target } from '../target.ts';

/** Input: a sealed key, of which only the part before the ciphertext is read. */
export const sealedKey: Target = {
  name: 'sealed-key',
  form: 'text',
  longest: 10_000,
  codes: ['signer_failed', 'newer_version'],
  run: (input) => void readDerivation(input),
};
