import { isWritError } from '../../base/error.ts';
import { sha256 } from '../../base/sha256.ts';
import type { X509popEvidence } from '../../wire/attestation.ts';
import type { X509popParameters } from '../../wire/attestor.ts';
import { boundOctets } from '../../wire/bound-octets.ts';
import { algorithmByKey, verifySignature } from '../../x509/algorithm.ts';
import type { Certificate } from '../../x509/certificate.ts';
import { findExtension } from '../../x509/extension.ts';
import { decodeSubjectAltName, SUBJECT_ALT_NAME } from '../../x509/extensions/subject-alt-name.ts';
import { formatName } from '../../x509/name.ts';
import { formatIpAddress } from '../../x509/path/ip-address.ts';
import { parsePublicKey } from '../../x509/public-key.ts';
import type { EvidenceFacts, EvidenceFault, Verified, Verifier, VerifierParts } from '../evidence.ts';
import { onceByChallenge } from './binding.ts';
import { parseCertificates, parseTrusted, trustedPath } from './given-chain.ts';
import { factsOfTexts, readable } from './readable.ts';

/** Authorities whose certificates let in. */
export interface X509popRoots {
  readonly roots: readonly Certificate[];
}

/** A certificate of another authority, and proof that its bearer has the key. */
export const x509popVerifier: Verifier<X509popEvidence, X509popRoots> = {
  parse: (parameters: X509popParameters) => ({ roots: parseTrusted(parameters.roots, '/roots') }),
  verify: async (evidence, parameters, parts) => {
    try {
      return verifyX509pop(evidence, parameters, parts);
    } catch (error) {
      if (isWritError(error)) return refused('malformed');
      throw error;
    }
  },
};

/** Throws the errors of parsing. */
function verifyX509pop(
  { chain, challenge, signature }: X509popEvidence,
  { roots }: X509popRoots,
  parts: VerifierParts,
): Verified {
  const fresh = parts.challenge(challenge);
  if (!fresh.good) return refused(fresh.fault);
  const [leaf, ...intermediates] = parseCertificates(chain);
  if (leaf === undefined) return refused('malformed');
  const key = parsePublicKey(leaf.spki);
  const proof = Buffer.from(signature, 'base64');
  // Nothing in the evidence chooses the algorithm.
  const algorithm = algorithmByKey(key.algorithm, 'rsa-pss-sha256');
  if (!verifySignature(algorithm, key, boundOctets(challenge, parts.spki), proof)) {
    return refused('wrong-key');
  }
  const trusted = trustedPath({
    leaf,
    intermediates,
    anchors: roots,
    at: parts.clock.now(),
    purpose: 'client',
    keyUsage: 'digitalSignature',
  });
  if (!trusted.ok) return refused(trusted.fault);
  const { path } = trusted;
  return {
    accepted: true,
    facts: factsOf(path),
    reference: readable(`${hex(leaf.serial)} of ${formatName(leaf.issuer)}`),
    // The anchor's own end is the path's end, too.
    expiresAt: Math.min(...path.map(({ notAfter }) => notAfter)),
    once: onceByChallenge(fresh),
  };
}

const COMMON_NAME = '2.5.4.3';

function factsOf([leaf, ...above]: readonly Certificate[]): EvidenceFacts {
  const { subject, issuer, serial, spki, raw, extensions } = leaf!;
  const found = findExtension(extensions, SUBJECT_ALT_NAME);
  const names = found === undefined ? [] : decodeSubjectAltName(found.value);
  return factsOfTexts({
    'x509:subject': [formatName(subject)],
    'x509:common_name': subject.rdns.flatMap((rdn) =>
      rdn.flatMap(({ type, text }) => (type === COMMON_NAME && text !== undefined ? [text] : [])),
    ),
    'x509:dns': names.flatMap((name) => (name.kind === 'dns' ? [name.value] : [])),
    'x509:uri': names.flatMap((name) => (name.kind === 'uri' ? [name.value] : [])),
    'x509:ip': names.flatMap((name) => (name.kind === 'ip' ? [formatIpAddress(name.value)] : [])),
    'x509:serial': [hex(serial)],
    'x509:issuer': [formatName(issuer)],
    'x509:key_sha256': [hex(sha256(spki))],
    'x509:sha256': [hex(sha256(raw))],
    'x509:authority_sha256': above.map((certificate) => hex(sha256(certificate.raw))),
  });
}

function hex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}

function refused(fault: EvidenceFault): Verified {
  return { accepted: false, fault };
}
