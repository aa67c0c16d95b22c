import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { decodePem } from '../../der/pem.ts';
import { parseSpiffeId } from '../../spiffe-id/spiffe-id.ts';
import { serverId } from '../../spiffe-id/subject.ts';
import type { TrustDomain } from '../../spiffe-id/trust-domain.ts';
import { parseCertificate } from '../../x509/certificate.ts';
import { uriNames } from '../../x509/svid.ts';
import { checkPeer } from './peer.ts';

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
  try {
    // X.509-SVID §3.2.
    const [uri, ...more] = uriNames(parseCertificate(decodePem(rootPem, 'CERTIFICATE')));
    const id = parseSpiffeId(uri ?? '');
    return id.segments.length === 0 && more.length === 0 ? id.trustDomain : undefined;
  } catch {
    return undefined;
  }
}
