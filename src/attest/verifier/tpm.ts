import { constants, timingSafeEqual, verify } from 'node:crypto';
import { isWritError, WritError } from '../../base/error.ts';
import { sha256 } from '../../base/sha256.ts';
import { sameBytes } from '../../der/bytes.ts';
import { toBase64url } from '../../jwt/base64url.ts';
import type { CreateChallenge, TpmEvidence } from '../../wire/attestation.ts';
import type { TpmParameters } from '../../wire/attestor.ts';
import { boundOctets } from '../../wire/bound-octets.ts';
import type { Certificate } from '../../x509/certificate.ts';
import { findExtension } from '../../x509/extension.ts';
import { decodeExtendedKeyUsage, EXTENDED_KEY_USAGE } from '../../x509/extensions/extended-key-usage.ts';
import { decodeSubjectAltName, SUBJECT_ALT_NAME } from '../../x509/extensions/subject-alt-name.ts';
import { formatName } from '../../x509/name.ts';
import type { EvidenceFacts, EvidenceFault, Verified, Verifier, VerifierParts } from '../evidence.ts';
import { onceByChallenge } from './binding.ts';
import { parseCertificates, parseTrusted, trustedPath } from './given-chain.ts';
import { factsOfTexts } from './readable.ts';
import { isEndorsementKey, makeTpmCredential } from './tpm-credential.ts';
import {
  ATTRIBUTE,
  readTpmCertified,
  readTpmPublic,
  readTpmSignature,
  type TpmPublic,
  type TpmSignature,
} from './tpm-structures.ts';

/** Modules that are admitted: of these manufacturers, or these very ones; both where both are given. */
export interface TpmModules {
  readonly roots?: readonly Certificate[];
  /** SHA-256 in hexadecimal of the SubjectPublicKeyInfo of an endorsement key. */
  readonly keys?: readonly string[];
}

/**
 * Trusted platform modules (TPM 2.0). Step by step: the endorsement key is one of a module that is admitted; the module
 * with that key gave out a secret, which it does only while it holds the attestation key; the attestation key, which signs
 * nothing but what the module makes, says that the module holds the key; and the key signs for the CSR.
 */
export const tpmVerifier: Verifier<TpmEvidence, TpmModules> = {
  parse: ({ roots, keys }: TpmParameters) => {
    if (roots === undefined && keys === undefined) {
      throw new WritError('bad_request', 'The attestor admits no module.', {
        field: '',
        remedy: 'Give roots of manufacturers, or the endorsement keys that are admitted.',
      });
    }
    return {
      ...(roots === undefined ? {} : { roots: parseTrusted(roots, '/roots') }),
      ...(keys === undefined ? {} : { keys: keys.map((key) => key.toLowerCase()) }),
    };
  },
  challenge: (request, _modules, parts) => challengeTpm(request, parts),
  verify: async (evidence, modules, parts) => {
    try {
      return verifyTpm(evidence, modules, parts);
    } catch (error) {
      if (isWritError(error)) return refused('malformed');
      throw error;
    }
  },
};

/**
 * A secret that only the module with this endorsement key can read, and only while it holds this attestation key. Whether
 * the module is admitted shows later: strangers learn nothing of it here. Undefined for keys that there can be none for.
 */
function challengeTpm(
  { endorsement_key, attestation_key }: CreateChallenge,
  { challenge, derive }: { readonly challenge: string } & Pick<VerifierParts, 'derive'>,
): { readonly credential_blob?: string; readonly encrypted_secret?: string } | undefined {
  // For a renewal: there is a key already that signs.
  if (endorsement_key === undefined && attestation_key === undefined) return {};
  if (endorsement_key === undefined || attestation_key === undefined) return undefined;
  try {
    const endorsement = readTpmPublic(Buffer.from(endorsement_key, 'base64'));
    const attestation = readTpmPublic(Buffer.from(attestation_key, 'base64'));
    if (!isEndorsementKey(endorsement)) return undefined;
    const secret = secretFor(challenge, { endorsement, attestation }, derive);
    const half = (part: string): Uint8Array => derive(text(`tpm seed ${part}`), text(challenge), attestation.name);
    const seed = Buffer.concat([half('1'), half('2')]);
    const { credentialBlob, encryptedSecret } = makeTpmCredential(endorsement, attestation.name, { secret, seed });
    return { credential_blob: base64(credentialBlob), encrypted_secret: base64(encryptedSecret) };
  } catch (error) {
    if (isWritError(error)) return undefined;
    throw error;
  }
}

/** What the module gives out; this server makes it again when it comes back. 32 octets. */
function secretFor(
  challenge: string,
  { endorsement, attestation }: { readonly endorsement: TpmPublic; readonly attestation: TpmPublic },
  derive: VerifierParts['derive'],
): Uint8Array {
  return derive(text('tpm secret'), text(challenge), endorsement.name, endorsement.spki, attestation.name);
}

/** An attestation key: made in the module, kept there, and for signing what the module itself makes alone. */
const ATTESTATION =
  ATTRIBUTE.fixedTpm | ATTRIBUTE.fixedParent | ATTRIBUTE.sensitiveDataOrigin | ATTRIBUTE.restricted | ATTRIBUTE.sign;
/** A key that the module made and never lets out. */
const KEPT = ATTRIBUTE.fixedTpm | ATTRIBUTE.fixedParent | ATTRIBUTE.sensitiveDataOrigin | ATTRIBUTE.sign;

/** Throws the errors of parsing. */
function verifyTpm(evidence: TpmEvidence, modules: TpmModules, parts: VerifierParts): Verified {
  const fresh = parts.challenge(evidence.challenge);
  if (!fresh.good) return refused(fresh.fault);
  const [endorsement, attestation, key] = [evidence.endorsement_key, evidence.attestation_key, evidence.key].map(
    (given) => readTpmPublic(Buffer.from(given, 'base64')),
  ) as [TpmPublic, TpmPublic, TpmPublic];
  const chain = parseCertificates(evidence.chain ?? []);
  const admitted = admit(endorsement, chain, modules, parts);
  if (typeof admitted === 'string') return refused(admitted);
  const secret = secretFor(evidence.challenge, { endorsement, attestation }, parts.derive);
  const shown = Buffer.from(evidence.secret, 'base64');
  if (shown.length !== secret.length || !timingSafeEqual(shown, secret)) return refused('wrong-key');
  if (!has(attestation, ATTESTATION) || !has(key, KEPT)) return refused('wrong-key');
  const attested = Buffer.from(evidence.attested, 'base64');
  if (!isTpmSigned(attested, evidence.signature, attestation)) return refused('bad-signature');
  const certified = readTpmCertified(attested);
  if (!sameBytes(certified.name, key.name)) return refused('wrong-key');
  const bound = boundOctets(evidence.challenge, parts.spki);
  if (!sameBytes(certified.qualifyingData, sha256(bound))) return refused('bad-challenge');
  if (!isTpmSigned(bound, evidence.proof, key)) return refused('bad-signature');
  return {
    accepted: true,
    facts: {
      ...admitted,
      'tpm:key': [toBase64url(Buffer.from(evidence.key, 'base64'))],
      'tpm:key_sha256': [hex(sha256(key.spki))],
    },
    reference: `endorsement key ${hex(sha256(endorsement.spki))}`,
    once: onceByChallenge(fresh),
  };
}

/**
 * Whether the key of a module signed for another CSR of the same instance. `key`: the fact `tpm:key`. The challenge is this
 * server's, and good; the SubjectPublicKeyInfo is the CSR's. Never throws.
 */
export function isModuleProof(
  key: string,
  { challenge, proof }: { readonly challenge: string; readonly proof: string },
  spki: Uint8Array,
): boolean {
  try {
    return isTpmSigned(boundOctets(challenge, spki), proof, readTpmPublic(Buffer.from(key, 'base64url')));
  } catch (error) {
    if (isWritError(error)) return false;
    throw error;
  }
}

/** What is known of the module, or why it is not admitted. */
function admit(
  endorsement: TpmPublic,
  chain: readonly Certificate[],
  { roots, keys }: TpmModules,
  { clock }: VerifierParts,
): EvidenceFacts | EvidenceFault {
  if (!isEndorsementKey(endorsement)) return 'wrong-key';
  const fingerprint = hex(sha256(endorsement.spki));
  if (keys !== undefined && !keys.includes(fingerprint)) return 'not-admitted';
  const facts = { 'tpm:ek_sha256': [fingerprint] };
  if (roots === undefined) return facts;
  const [leaf, ...intermediates] = chain;
  if (leaf === undefined) return 'untrusted-chain';
  // The certificate whose chain is validated is the one of the key that the secret was made out to.
  if (!sameBytes(leaf.spki, endorsement.spki)) return 'wrong-key';
  const trusted = trustedPath({ leaf, intermediates, anchors: roots, at: clock.now() });
  if (!trusted.ok) return trusted.fault;
  if (!isForEndorsement(leaf)) return 'untrusted-chain';
  return { ...facts, ...moduleFacts(leaf) };
}

/** tcg-kp-EKCertificate (TCG EK Credential Profile §3.2.16): other keys of a manufacturer need not lie in a module. */
const EK_CERTIFICATE = '2.23.133.8.1';

function isForEndorsement({ extensions }: Certificate): boolean {
  const usage = findExtension(extensions, EXTENDED_KEY_USAGE);
  return usage !== undefined && decodeExtendedKeyUsage(usage.value).includes(EK_CERTIFICATE);
}

/** Attributes of the module, in a directory name among the alternative names (TCG EK Credential Profile §3.1.2). */
const MODULE: Readonly<Record<string, string>> = {
  '2.23.133.2.1': 'tpm:manufacturer',
  '2.23.133.2.2': 'tpm:model',
  '2.23.133.2.3': 'tpm:version',
};

function moduleFacts({ issuer, extensions }: Certificate): EvidenceFacts {
  const found = findExtension(extensions, SUBJECT_ALT_NAME);
  const names = found === undefined ? [] : decodeSubjectAltName(found.value);
  const facts: Record<string, readonly string[]> = { 'tpm:ek_issuer': [formatName(issuer)] };
  for (const name of names) {
    if (name.kind !== 'directory') continue;
    for (const { type, text: said } of name.value.rdns.flat()) {
      const fact = MODULE[type];
      if (fact !== undefined && said !== undefined) facts[fact] = [said];
    }
  }
  return factsOfTexts(facts);
}

/**
 * Whether `signature` (base64 of TPMT_SIGNATURE) is by this key over `message`; in the way that the key is for, where it is
 * for one. Throws `bad_request` for what is no such signature.
 */
function isTpmSigned(message: Uint8Array, signature: string, by: TpmPublic): boolean {
  const given = readTpmSignature(Buffer.from(signature, 'base64'), by);
  if (by.scheme !== undefined && (by.scheme.kind !== given.kind || by.scheme.hash !== given.hash)) return false;
  return isSignedBy(message, given, by.key);
}

function isSignedBy(message: Uint8Array, { kind, hash, signature }: TpmSignature, key: TpmPublic['key']): boolean {
  // Modules differ in the length of the salt (Part 1 §B.7).
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO };
  const how = { ecdsa: { dsaEncoding: 'ieee-p1363' as const }, rsassa: {}, rsapss: pss }[kind];
  try {
    return verify(hash, message, { key, ...how }, signature);
  } catch {
    // A key that is of the right form and none all the same: OpenSSL tries it, and throws.
    return false;
  }
}

function has({ attributes }: TpmPublic, wanted: number): boolean {
  return (attributes & wanted) === wanted && (attributes & ATTRIBUTE.decrypt) === 0;
}

function text(ascii: string): Uint8Array {
  return Buffer.from(ascii, 'latin1');
}

function base64(octets: Uint8Array): string {
  return Buffer.from(octets).toString('base64');
}

function hex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex');
}

function refused(fault: EvidenceFault): Verified {
  return { accepted: false, fault };
}
