import type { KeyAlgorithm } from '../keys/generate.ts';
import { generateKey } from '../keys/generate.ts';
import { localSigner } from '../keys/local.ts';
import { encodeCsr } from '../x509/csr.ts';

/** A key that was just made for one of Writ's own certificates, and the request for it. */
export interface OwnKey {
  /** PKCS #8, PEM. */
  readonly pem: string;
  /** DER. */
  readonly csr: Uint8Array;
}

/**
 * Makes a key for the server or an operator: P-256, but of the authorities' own kind where those are post-quantum, since a
 * chain is no stronger than the key at its end.
 */
export async function makeOwnKey(authorities: KeyAlgorithm): Promise<OwnKey> {
  const key = await generateKey(authorities.startsWith('ml-dsa-') ? authorities : 'ecdsa-p256');
  const signer = localSigner(key);
  const csr = await encodeCsr({
    spki: signer.spki,
    algorithm: signer.algorithm,
    sign: async (message) => (await signer.sign([message]))[0]!,
  });
  return { pem: key.export({ type: 'pkcs8', format: 'pem' }) as string, csr };
}
