import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { decodePem } from '../der/pem.ts';
import type { SpiffeId } from '../spiffe-id/spiffe-id.ts';
import { serverId } from '../spiffe-id/subject.ts';
import type { TrustDomain } from '../spiffe-id/trust-domain.ts';
import { checkPeer, spiffeIdOf } from './peer.ts';

export type CheckServer = (host: string, certificate: PeerCertificate) => Error | undefined;

/**
 * Whether a verified certificate is that of the authority's own servers. The name of the host does not matter then: it
 * would be no proof, since services of the trust domain may have certificates with DNS names, too.
 */
export function checkWritServer(trustDomain: TrustDomain): CheckServer {
  const { uri } = serverId(trustDomain);
  return checkPeer((id) => id.uri === uri);
}

/**
 * The same before anything but the root is known. Writ's own root says its trust domain. Somebody else's does not, and
 * may vouch for other trust domains beside: there the host name has to be right as well.
 */
export function checkUnknownWritServer(rootPem: string): CheckServer {
  const known = trustDomainOf(rootPem);
  if (known !== undefined) return checkWritServer(known);
  const shaped = checkPeer((id) => id.uri === serverId(id.trustDomain).uri);
  return (host, certificate) => checkServerIdentity(host, certificate) ?? shaped(host, certificate);
}

function trustDomainOf(rootPem: string): TrustDomain | undefined {
  let id: SpiffeId;
  try {
    id = spiffeIdOf(decodePem(rootPem, 'CERTIFICATE'));
  } catch {
    return undefined;
  }
  return id.segments.length === 0 ? id.trustDomain : undefined;
}
