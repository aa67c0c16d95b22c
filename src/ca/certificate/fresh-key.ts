import type { KeyObject } from 'node:crypto';
import { generateKey, type KeyAlgorithm } from '../../keys/generate.ts';
import { localSigner } from '../../keys/local.ts';
import type { Signer } from '../../keys/signer.ts';
import { encodeCsr } from '../../x509/csr.ts';

/** A key that was just made in this process, and the request for its certificate. */
interface FreshKey {
  readonly key: KeyObject;
  readonly signer: Signer;
  /** DER. */
  readonly csr: Uint8Array;
}

/**
 * Makes a key for what Writ itself uses: P-256, but of the authorities' own kind where those are post-quantum, since a
 * chain is no stronger than the key at its end.
 */
export async function makeFreshKey(authorities: KeyAlgorithm): Promise<FreshKey> {
  const key = await generateKey(authorities.startsWith('ml-dsa-') ? authorities : 'ecdsa-p256');
  const signer = localSigner(key);
  const csr = await encodeCsr({
    spki: signer.spki,
    algorithm: signer.algorithm,
    sign: async (message) => (await signer.sign([message]))[0]!,
  });
  return { key, signer, csr };
}
