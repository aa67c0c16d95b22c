import { createPrivateKey, X509Certificate } from 'node:crypto';
import { WritError } from '../../base/error.ts';
import { encodePem } from '../../der/pem.ts';
import { openDer, readAny } from '../../der/reader.ts';
import type { Credential } from '../identity/credential.ts';
import { spiffeIdOf } from '../peer/peer.ts';
import type { X509Svid } from './messages.ts';

/** Octets of a chain or a bundle. */
const LARGEST = 1 << 20;

/**
 * What the Workload API gave, as TLS takes it. Throws where leaf, key and name do not belong together (SPIFFE Workload API
 * §5.2.1), or where there is nobody to trust.
 */
export function credentialOf(svid: X509Svid): Credential {
  const [leaf, ...chain] = certificatesOf(svid.x509_svid);
  const roots = certificatesOf(svid.bundle);
  if (leaf === undefined || roots.length === 0) throw broken('without certificate or without bundle');
  const certificate = new X509Certificate(leaf);
  const key = createPrivateKey({ key: Buffer.from(svid.x509_svid_key), format: 'der', type: 'pkcs8' });
  if (!certificate.checkPrivateKey(key)) throw broken('whose key is another one');
  if (spiffeIdOf(leaf).uri !== svid.spiffe_id) throw broken('whose certificate names somebody else');
  const [notBefore, notAfter] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  return {
    ...{ key, spiffeId: svid.spiffe_id, serial: certificate.serialNumber.toLowerCase(), notBefore, notAfter },
    certificate: pemOf(leaf),
    chain: chain.map(pemOf),
    roots: roots.map(pemOf),
    renewAfter: notBefore + ((notAfter - notBefore) * 2) / 3,
  };
}

/** DER certificates that stand one behind the other, in PEM. */
export function pemsOf(concatenated: Uint8Array): readonly string[] {
  return certificatesOf(concatenated).map(pemOf);
}

function certificatesOf(concatenated: Uint8Array): readonly Uint8Array[] {
  const cursor = openDer(concatenated, 'certificates', LARGEST);
  const found: Uint8Array[] = [];
  while (cursor.at < cursor.end) found.push(readAny(cursor, 'certificate'));
  return found;
}

function pemOf(der: Uint8Array): string {
  return encodePem('CERTIFICATE', der);
}

function broken(how: string): WritError {
  return new WritError('bad_certificate', `The Workload API gave an identity ${how}.`, {
    remedy: 'Report this: the daemon is broken.',
  });
}
