import { isIP } from 'node:net';
import type { Caller } from '../../base/access.ts';
import type { Authority } from '../../ca/authority.ts';
import { sameBytes } from '../../der/bytes.ts';
import { encodePem } from '../../der/pem.ts';
import type { TlsIdentity } from '../../http/tls.ts';
import { issueServerCertificate } from '../../issuance/server.ts';
import { makeOwnKey } from '../own-key.ts';
import type { ThreadParts } from './thread-parts.ts';

const SYSTEM: Caller = { kind: 'system', id: 'system:server' };

/** An identity for the TLS listeners, and when to make the next: at half of its life. */
export interface ServerIdentity {
  readonly tls: TlsIdentity;
  /** Id of the authority that signed it. */
  readonly issuer: string;
  /** Milliseconds. */
  readonly renewAt: number;
}

/**
 * Makes a key and has a certificate issued to it, the same way as everybody's. `names` are those under which clients
 * reach the server; the ones that the authorities cannot vouch for are refused there.
 */
export async function makeServerIdentity(names: readonly string[], parts: ThreadParts): Promise<ServerIdentity> {
  const { pem: key, csr } = await makeOwnKey(parts.hierarchy.algorithm);
  const wish = {
    dnsNames: names.filter((name) => isIP(name) === 0),
    ipAddresses: names.filter((name) => isIP(name) !== 0),
  };
  const issued = await issueServerCertificate(SYSTEM, { csr, wish }, parts.issuance);
  const pem = (der: Uint8Array): string => encodePem('CERTIFICATE', der);
  const authorities = parts.authority.authorities();
  return {
    tls: {
      key,
      chain: [issued.der, ...issued.chain].map(pem).join(''),
      trusted: trustedBy(authorities),
    },
    issuer: authorities.find(({ certificate }) => sameBytes(certificate.raw, issued.chain[0]!))!.id,
    renewAt: issued.issuedAt + (issued.expiresAt - issued.issuedAt) / 2,
  };
}

/** The certificates by which clients are verified, in PEM: all authorities, so that a client may send its leaf alone. */
export function trustedBy(authorities: readonly Authority[]): string[] {
  return authorities.map(({ certificate }) => encodePem('CERTIFICATE', certificate.raw));
}
