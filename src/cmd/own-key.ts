import { makeFreshKey } from '../ca/certificate/fresh-key.ts';
import type { KeyAlgorithm } from '../keys/generate.ts';

/** A key that was just made for one of Writ's own certificates, and the request for it. */
export interface OwnKey {
  /** PKCS #8, PEM. */
  readonly pem: string;
  /** DER. */
  readonly csr: Uint8Array;
}

/** Makes a key for the server or an operator. */
export async function makeOwnKey(authorities: KeyAlgorithm): Promise<OwnKey> {
  const { key, csr } = await makeFreshKey(authorities);
  return { pem: key.export({ type: 'pkcs8', format: 'pem' }) as string, csr };
}
