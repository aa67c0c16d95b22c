import * as z from 'zod';
import { type Runtime, runtime } from './runtime.ts';
import { type Schema, schemaOf } from './schema.ts';
import { csr, dnsNames, ipAddresses, lifetime, name, pem, scopes, time } from './text.ts';

/*
 * What a newcomer presents to be let in. Shapes here bound lengths; what evidence proves, its verifier says
 * (`attest/evidence.ts`).
 */

const jwt = z
  .string()
  .max(16_384)
  .regex(/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/, 'Give a signed token of three parts.');
const base64 = (most: number) =>
  z
    .string()
    .min(1)
    .max(most)
    .regex(/^[A-Za-z0-9+/]+={0,2}$/, 'Give base64 without line breaks.');
const challengeText = z
  .string()
  .max(256)
  .regex(/^[A-Za-z0-9_-]+$/, 'Give the challenge as the server made it.');
const chain = z.array(pem).min(1).max(8);

interface JoinTokenEvidence {
  readonly kind: 'join-token';
  readonly token: string;
}

const joinToken = z.strictObject({ kind: z.literal('join-token'), token: z.string().min(1).max(1024) });

/** A token of an OpenID issuer. */
export interface OidcEvidence {
  readonly kind: 'oidc';
  /** Name of the attestor, here and below. */
  readonly attestor: string;
  readonly token: string;
}

const oidc = z.strictObject({ kind: z.literal('oidc'), attestor: name, token: jwt });

/**
 * A certificate of another authority and proof of its key: a signature over the octets
 * `writ attestation 1` 00 challenge 00 SHA-256(SubjectPublicKeyInfo of the CSR), with the algorithm that the key has:
 * ECDSA with the curve's own hash in DER, Ed25519, or RSA-PSS with SHA-256 and salt of 32.
 */
export interface X509popEvidence {
  readonly kind: 'x509pop';
  readonly attestor: string;
  /** PEM, the bearer's first, without the root. */
  readonly chain: readonly string[];
  readonly challenge: string;
  /** Base64. */
  readonly signature: string;
}

const x509pop = z.strictObject({
  kind: z.literal('x509pop'),
  attestor: name,
  chain,
  challenge: challengeText,
  signature: base64(16_384),
});

/** A Kubernetes service account token. */
export interface KubernetesEvidence {
  readonly kind: 'k8s';
  readonly attestor: string;
  readonly token: string;
}

const k8s = z.strictObject({ kind: z.literal('k8s'), attestor: name, token: jwt });

/** What `/latest/dynamic/instance-identity/rsa2048` (or `pkcs7`) of the metadata service says: base64 of a PKCS #7. */
export interface AwsEvidence {
  readonly kind: 'aws';
  readonly attestor: string;
  readonly document: string;
}

const aws = z.strictObject({ kind: z.literal('aws'), attestor: name, document: base64(32_768) });

/** What `…/service-accounts/default/identity?audience=…&format=full` of the metadata server says. */
export interface GcpEvidence {
  readonly kind: 'gcp';
  readonly attestor: string;
  readonly token: string;
}

const gcp = z.strictObject({ kind: z.literal('gcp'), attestor: name, token: jwt });

/**
 * What `/metadata/attested/document?nonce=…` says as `signature`: base64 of a PKCS #7. The nonce is the first 32 hexadecimal
 * digits of SHA-256 over the octets that `X509popEvidence` signs, so that the document is for this key alone.
 */
export interface AzureEvidence {
  readonly kind: 'azure';
  readonly attestor: string;
  readonly challenge: string;
  readonly document: string;
}

const azure = z.strictObject({
  kind: z.literal('azure'),
  attestor: name,
  challenge: challengeText,
  document: base64(32_768),
});

/** What a trusted platform module proves, after the exchange of `docs/ATTESTATION.md`. Base64 throughout. */
export interface TpmEvidence {
  readonly kind: 'tpm';
  readonly attestor: string;
  readonly challenge: string;
  /** What the module took out of the credential blob that came with the challenge. */
  readonly secret: string;
  /** TPM2B_PUBLIC of the endorsement key and of the attestation key. */
  readonly endorsement_key: string;
  readonly attestation_key: string;
  /** PEM of the endorsement key, the manufacturer's intermediates after it. */
  readonly chain?: readonly string[];
  /** TPM2B_PUBLIC of a key for signing that the module made and never lets out. */
  readonly key: string;
  /** TPMS_ATTEST by which the attestation key certifies it, and the TPMT_SIGNATURE of that. */
  readonly attested: string;
  readonly signature: string;
  /** TPMT_SIGNATURE by the key over the octets that `X509popEvidence` signs. */
  readonly proof: string;
}

const tpm = z.strictObject({
  kind: z.literal('tpm'),
  attestor: name,
  challenge: challengeText,
  secret: base64(128),
  endorsement_key: base64(4096),
  attestation_key: base64(4096),
  chain: chain.exactOptional(),
  key: base64(4096),
  attested: base64(4096),
  signature: base64(4096),
  proof: base64(4096),
});

/** Evidence that an attestor vouches for. */
export type AttestorEvidence =
  | OidcEvidence
  | X509popEvidence
  | KubernetesEvidence
  | AwsEvidence
  | GcpEvidence
  | AzureEvidence
  | TpmEvidence;

export type Evidence = JoinTokenEvidence | AttestorEvidence;

const vouchedFor = [oidc, x509pop, k8s, aws, gcp, azure, tpm] as const;
const evidence = z.discriminatedUnion('kind', [joinToken, ...vouchedFor]);

export const attestorEvidence: Schema<AttestorEvidence> = schemaOf<AttestorEvidence>()(
  z.discriminatedUnion('kind', vouchedFor),
);

/** Asks for an identity on evidence of any kind. */
export interface RequestSvid {
  readonly csr: string;
  readonly evidence: Evidence;
  /** Name of the agent or service, where registration entries for several match. */
  readonly agent?: string;
  readonly runtime?: Runtime;
  readonly lifetime_seconds?: number;
  readonly dns_names?: readonly string[];
  readonly ip_addresses?: readonly string[];
  /** Narrower than those of the entry or token. */
  readonly scopes?: readonly string[];
}

export const requestSvid: Schema<RequestSvid> = schemaOf<RequestSvid>()(
  z.strictObject({
    csr: csr.describe('PEM, or base64 of the DER.'),
    evidence,
    agent: name.exactOptional(),
    runtime: runtime.exactOptional(),
    lifetime_seconds: lifetime.exactOptional(),
    dns_names: dnsNames.exactOptional(),
    ip_addresses: ipAddresses.exactOptional(),
    scopes: scopes.exactOptional(),
  }),
);

/** Asks for something fresh to sign. */
export interface CreateChallenge {
  readonly attestor: string;
  /** For a trusted platform module: TPM2B_PUBLIC of both keys, base64. */
  readonly endorsement_key?: string;
  readonly attestation_key?: string;
}

export const createChallenge: Schema<CreateChallenge> = schemaOf<CreateChallenge>()(
  z.strictObject({
    attestor: name,
    endorsement_key: base64(4096).exactOptional(),
    attestation_key: base64(4096).exactOptional(),
  }),
);

export interface Challenge {
  readonly challenge: string;
  readonly expires_at: string;
  /** For a trusted platform module: what TPM2_ActivateCredential takes, base64. */
  readonly credential_blob?: string;
  readonly encrypted_secret?: string;
}

export const challenge: Schema<Challenge> = schemaOf<Challenge>()(
  z.strictObject({
    challenge: challengeText,
    expires_at: time,
    credential_blob: base64(4096).exactOptional(),
    encrypted_secret: base64(4096).exactOptional(),
  }),
);
