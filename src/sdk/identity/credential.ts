import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { decodePem, encodePem } from '../../der/pem.ts';
import { localSigner } from '../../keys/local.ts';
import { parseCertificate } from '../../x509/certificate.ts';
import { encodeCsr } from '../../x509/csr.ts';
import { parsePublicKey } from '../../x509/public-key.ts';

/** What an instance holds: its key, its certificate, what it sends along, and whom it trusts. */
export interface Credential {
  readonly key: KeyObject;
  readonly spiffeId: string;
  /** Lower-case hex. */
  readonly serial: string;
  /** PEM. */
  readonly certificate: string;
  /** PEM, issuing authority first, without the root. */
  readonly chain: readonly string[];
  /** PEM of each trusted root. */
  readonly roots: readonly string[];
  /** Milliseconds since the Unix epoch, by the authority's clock: half a minute before it was issued. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** When the authority would like to see it renewed: at two thirds of its life. */
  readonly renewAfter: number;
}

/** Certificates are valid from this long before their issue, for clocks that are behind (`docs/ISSUANCE.md`). */
export const BACKDATED_MS = 30_000;

// @types/node has one overload a kind of key; here the kind is only known at run time.
const generate = generateKeyPairSync as unknown as (type: string, options: object) => { privateKey: KeyObject };

/**
 * A fresh key for a certificate below this root (PEM): P-256, but of the root's own kind where that is post-quantum, since
 * a chain is no stronger than the key at its end. It is made here and never leaves, but for files that the owner asks for.
 * It is made at once: to have another thread make one of these kinds takes longer than to make it.
 */
export function newKey(root: string): KeyObject {
  const kind = parsePublicKey(parseCertificate(decodePem(root, 'CERTIFICATE')).spki).algorithm;
  const [type, options] = kind.startsWith('ml-dsa-') ? [kind, {}] : ['ec', { namedCurve: 'P-256' }];
  return generate(type, options).privateKey;
}

/** Key and certificates in PEM, as TLS takes them: the chain is the certificate and the authorities above it. */
export function pemOf({ key, certificate, chain }: Credential): { readonly key: string; readonly chain: string } {
  return { key: key.export({ type: 'pkcs8', format: 'pem' }) as string, chain: [certificate, ...chain].join('') };
}

/** The request for a certificate for such a key, in PEM. It names nobody: who it is for, the authority knows. */
export async function csrFor(key: KeyObject): Promise<string> {
  const signer = localSigner(key);
  const der = await encodeCsr({
    spki: signer.spki,
    algorithm: signer.algorithm,
    sign: async (message) => (await signer.sign([message]))[0]!,
  });
  return encodePem('CERTIFICATE REQUEST', der);
}
