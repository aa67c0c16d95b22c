import { constants, createPrivateKey, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { WritError } from '../../base/error.ts';
import { decodePemBlocks, encodePem, type PemBlock } from '../../der/pem.ts';
import { boundOctets } from '../../wire/bound-octets.ts';
import { readText, requireOne } from './file.ts';
import type { EvidenceSource } from './source.ts';

export interface CertificateEvidenceOptions {
  readonly attestor: string;
  /** PEM of the bearer's certificate and the authorities above it, without the root; or the file with them. */
  readonly chain?: string | readonly string[] | undefined;
  readonly chainFile?: string | undefined;
  /** Its private key, PEM or `KeyObject`; or the file with it. */
  readonly key?: string | KeyObject | undefined;
  readonly keyFile?: string | undefined;
}

/** A certificate of another authority, and proof of its key over something fresh. No private key is sent. */
export function certificateEvidence(options: CertificateEvidenceOptions): EvidenceSource {
  const { attestor, chain, chainFile, key, keyFile } = options;
  requireOne({ chain, chainFile });
  requireOne({ key, keyFile });
  return {
    async present(spki, ask) {
      const text = chain === undefined ? await readText(chainFile!, 'chainFile') : [chain].flat().join('\n');
      const certificates = certificatesOf(text);
      const own = typeof key === 'object' ? key : parseKey(key ?? (await readText(keyFile!, 'keyFile')));
      requirePair(certificates[0]!, own);
      const { challenge } = await ask({ attestor });
      const signature = signWith(own, boundOctets(challenge, spki)).toString('base64');
      return { kind: 'x509pop', attestor, chain: certificates, challenge, signature };
    },
  };
}

const HASHES: Readonly<Record<string, string>> = { prime256v1: 'sha256', secp384r1: 'sha384', secp521r1: 'sha512' };

/** As the server verifies it: with the hash of the curve, or RSASSA-PSS with SHA-256. */
function signWith(key: KeyObject, octets: Uint8Array): Buffer {
  if (key.asymmetricKeyType === 'rsa') {
    return sign('sha256', octets, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
  }
  return sign(HASHES[key.asymmetricKeyDetails?.namedCurve ?? ''] ?? null, octets, key);
}

/** Each certificate of a PEM text by itself. Throws `bad_config` where there is none. */
export function certificatesOf(pem: string): string[] {
  const found = blocksOf(pem).filter(({ label }) => label === 'CERTIFICATE');
  if (found.length > 0) return found.map(({ der }) => encodePem('CERTIFICATE', der));
  throw new WritError('bad_config', 'There is no certificate in what is to be evidence.', {
    field: 'chain',
    remedy: 'Give PEM: the certificate of this machine first, then the authorities above it.',
  });
}

function blocksOf(pem: string): readonly PemBlock[] {
  try {
    return decodePemBlocks(pem);
  } catch {
    return [];
  }
}

/** The server says no more than that it does not believe, and a mistake is easy. */
function requirePair(certificate: string, key: KeyObject): void {
  if (new X509Certificate(certificate).checkPrivateKey(key)) return;
  throw new WritError('bad_config', 'The private key of the evidence is not that of its certificate.', {
    field: 'key',
    remedy: 'Give the key of the certificate that comes first.',
  });
}

function parseKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new WritError('bad_config', 'The private key of the evidence cannot be read.', {
      field: 'key',
      remedy: 'Give PEM that is not encrypted.',
      cause,
    });
  }
}
