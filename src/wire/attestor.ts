import * as z from 'zod';
import { type AttestorEvidence, attestorEvidence } from './attestation.ts';
import { type Page, pageOf } from './page.ts';
import { type Runtime, runtime } from './runtime.ts';
import { type Schema, schemaOf } from './schema.ts';
import { id, name, pem, sha256, time } from './text.ts';

/*
 * Attestors: configured sources of evidence. Their parameters are public facts about the issuer; no secret is among them.
 */

const url = z
  .string()
  .max(1024)
  .regex(/^https:\/\/[^\s@?#]+$/, 'Give an https:// URL without user, query and fragment.');
const audience = z.string().min(1).max(512);
const roots = z.array(pem).min(1).max(32);
const ageSeconds = z.int().min(30).max(86_400);

/** Tokens of an OpenID issuer: GitHub Actions, GitLab, Google, Azure, Kubernetes projected service accounts, … */
export interface OidcParameters {
  /** As `iss` has it. Its keys are found by `/.well-known/openid-configuration` below it, unless `jwks_uri` is given. */
  readonly issuer: string;
  /** What tokens must be made out to. */
  readonly audience: string;
  readonly jwks_uri?: string;
  /** PEM of the roots that the issuer's own server is trusted by. Absent: those of the system. */
  readonly ca?: readonly string[];
  /** A token issued longer ago is refused, whatever its `exp` says. Absent: `exp` alone counts. */
  readonly max_age_seconds?: number;
  /** The issuer's key set (RFC 7517) as JSON. Given: nothing is fetched, and new keys of the issuer come in by hand. */
  readonly jwks?: string;
  /** Absent: all of them. */
  readonly algorithms?: readonly JwsAlgorithmName[];
  /** What tokens must say besides: each claim one of these values. */
  readonly claims?: Readonly<Record<string, readonly string[]>>;
  /** True to take a token as often as it is presented until it expires, for those that lie in a file. Default: once. */
  readonly reusable?: boolean;
}

const ALGORITHMS = ['ES256', 'EdDSA', 'RS256', 'ES384', 'ES512', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const;

type JwsAlgorithmName = (typeof ALGORITHMS)[number];

const claimName = z
  .string()
  .max(128)
  .regex(/^[A-Za-z0-9_.:/-]+$/, 'Give the name of a claim.');

const oidc = z.strictObject({
  issuer: url,
  audience,
  jwks_uri: url.exactOptional(),
  ca: roots.exactOptional(),
  max_age_seconds: ageSeconds.exactOptional(),
  jwks: z.string().min(2).max(65_536).exactOptional(),
  algorithms: z.array(z.enum(ALGORITHMS)).min(1).max(ALGORITHMS.length).exactOptional(),
  claims: z.record(claimName, z.array(z.string().min(1).max(1024)).min(1).max(64)).exactOptional(),
  reusable: z.boolean().exactOptional(),
});

/** Certificates of another authority, with proof that the bearer has the key. */
export interface X509popParameters {
  /** PEM of the roots that chains must lead to. */
  readonly roots: readonly string[];
}

const x509pop = z.strictObject({ roots });

/** Kubernetes service account tokens, each asked about at the cluster's TokenReview. */
export interface KubernetesParameters {
  /** Of the cluster's API, e.g. `https://10.96.0.1:443`. */
  readonly server: string;
  /** PEM of the roots that the cluster's API is trusted by. */
  readonly ca: readonly string[];
  readonly audience: string;
  /** True to take a token as often as it is presented while the cluster says that it is valid. Default: once. */
  readonly reusable?: boolean;
}

const k8s = z.strictObject({ server: url, ca: roots, audience, reusable: z.boolean().exactOptional() });

/** AWS instance identity documents. */
export interface AwsParameters {
  /** Account ids, of 12 digits, whose machines are admitted. */
  readonly accounts: readonly string[];
  /** Absent: every region. */
  readonly regions?: readonly string[];
  /** PEM of the RSA-2048 certificates that AWS publishes for its regions ("AWS public certificates"). */
  readonly certificates: readonly string[];
  /** A machine that was launched longer ago is refused, since its document has no nonce. Default 3600. */
  readonly max_age_seconds?: number;
}

const aws = z.strictObject({
  accounts: z
    .array(
      z
        .string()
        .length(12)
        .regex(/^[0-9]{12}$/, 'Give an account id of 12 digits.'),
    )
    .min(1)
    .max(256),
  regions: z.array(name).min(1).max(64).exactOptional(),
  certificates: z.array(pem).min(1).max(64),
  max_age_seconds: z.int().min(60).max(2_592_000).exactOptional(),
});

/** Identity tokens of Google Cloud's metadata server. */
export interface GcpParameters {
  /** Ids of the projects whose machines are admitted. */
  readonly projects: readonly string[];
  readonly audience: string;
  /** Absent: Google's own. */
  readonly jwks_uri?: string;
  readonly ca?: readonly string[];
}

const gcp = z.strictObject({
  projects: z.array(name).min(1).max(256),
  audience,
  jwks_uri: url.exactOptional(),
  ca: roots.exactOptional(),
});

/** Attested documents of Azure's metadata service. */
export interface AzureParameters {
  /** Ids of the subscriptions whose machines are admitted. */
  readonly subscriptions: readonly string[];
  /** PEM of the roots that the document's signer must lead to. */
  readonly roots: readonly string[];
  /** PEM of authorities between them: documents bring the signer's certificate alone. */
  readonly intermediates?: readonly string[];
  /** The signer's certificate must be for one of these or a name below it. Default `metadata.azure.com`. */
  readonly domains?: readonly string[];
}

const azure = z.strictObject({
  subscriptions: z
    .array(
      z
        .string()
        .length(36)
        .regex(/^[0-9a-f-]{36}$/, 'Give a subscription id in lower case.'),
    )
    .min(1)
    .max(256),
  roots,
  intermediates: roots.exactOptional(),
  domains: z
    .array(
      z
        .string()
        .max(253)
        .regex(/^[a-z0-9-]+(\.[a-z0-9-]+)+$/, 'Give a domain name in lower case.'),
    )
    .min(1)
    .max(8)
    .exactOptional(),
});

/** Trusted platform modules. At least one of the two is given; what is given must hold. */
export interface TpmParameters {
  /** PEM of the manufacturers' roots that an endorsement key's certificate must lead to. */
  readonly roots?: readonly string[];
  /** SHA-256, in hexadecimal, of the SubjectPublicKeyInfo of the endorsement keys that are admitted. */
  readonly keys?: readonly string[];
}

const tpm = z.strictObject({
  roots: roots.exactOptional(),
  keys: z.array(sha256).min(1).max(10_000).exactOptional(),
});

/** Keys that sign images of containers. They vouch for images, and let nobody in. */
export interface CosignParameters {
  /** PEM of public keys, as in `cosign.pub`. */
  readonly keys: readonly string[];
}

const cosign = z.strictObject({ keys: z.array(pem).min(1).max(32) });

export type AttestorKind = 'oidc' | 'x509pop' | 'k8s' | 'aws' | 'gcp' | 'azure' | 'tpm' | 'cosign';

/** What an attestor is set up with, by its kind. */
export type AttestorSettings =
  | { readonly kind: 'oidc'; readonly parameters: OidcParameters }
  | { readonly kind: 'x509pop'; readonly parameters: X509popParameters }
  | { readonly kind: 'k8s'; readonly parameters: KubernetesParameters }
  | { readonly kind: 'aws'; readonly parameters: AwsParameters }
  | { readonly kind: 'gcp'; readonly parameters: GcpParameters }
  | { readonly kind: 'azure'; readonly parameters: AzureParameters }
  | { readonly kind: 'tpm'; readonly parameters: TpmParameters }
  | { readonly kind: 'cosign'; readonly parameters: CosignParameters };

const settings = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('oidc'), parameters: oidc }),
  z.strictObject({ kind: z.literal('x509pop'), parameters: x509pop }),
  z.strictObject({ kind: z.literal('k8s'), parameters: k8s }),
  z.strictObject({ kind: z.literal('aws'), parameters: aws }),
  z.strictObject({ kind: z.literal('gcp'), parameters: gcp }),
  z.strictObject({ kind: z.literal('azure'), parameters: azure }),
  z.strictObject({ kind: z.literal('tpm'), parameters: tpm }),
  z.strictObject({ kind: z.literal('cosign'), parameters: cosign }),
]);

export interface AddAttestor {
  readonly name: string;
  readonly settings: AttestorSettings;
}

export const addAttestor: Schema<AddAttestor> = schemaOf<AddAttestor>()(z.strictObject({ name, settings }));

export interface Attestor extends AddAttestor {
  /** How many registration entries rest on it. */
  readonly entries: number;
  /** SPIFFE ID of whoever added it. */
  readonly created_by: string;
  readonly created_at: string;
}

export const attestor: Schema<Attestor> = schemaOf<Attestor>()(
  z.strictObject({
    name,
    settings,
    entries: z.int().min(0),
    created_by: z.string().max(2048),
    created_at: time,
  }),
);

export const attestorPage: Schema<Page<Attestor>> = pageOf(attestor);

/** Asks what evidence would come to, and lets nobody in. */
export interface CheckEvidence {
  readonly evidence: AttestorEvidence;
  readonly runtime?: Runtime;
}

export const checkEvidence: Schema<CheckEvidence> = schemaOf<CheckEvidence>()(
  z.strictObject({ evidence: attestorEvidence, runtime: runtime.exactOptional() }),
);

/** What evidence would come to now. */
export interface CheckedEvidence {
  /** Of the evidence as RFC 8785 writes it: what `instance.enrolled` has as `evidence_sha256`. */
  readonly sha256: string;
  readonly believed: boolean;
  /** Why it is not believed. */
  readonly fault?: string;
  /** It lets in once, and has done so. */
  readonly spent: boolean;
  readonly facts: Readonly<Record<string, readonly string[]>>;
  /** Entries of the attestor, the nearest first; at most a hundred. */
  readonly entries: readonly TriedEntry[];
}

interface TriedEntry {
  readonly id: string;
  /** Of the agent or service. */
  readonly name: string;
  /** What of that which it asks for does not hold; empty where it lets in. */
  readonly missing: readonly string[];
}

export const checkedEvidence: Schema<CheckedEvidence> = schemaOf<CheckedEvidence>()(
  z.strictObject({
    sha256,
    believed: z.boolean(),
    fault: z.string().max(64).exactOptional(),
    spent: z.boolean(),
    facts: z.record(z.string().max(160), z.array(z.string().max(1024)).max(64)),
    entries: z.array(z.strictObject({ id, name, missing: z.array(z.string().max(1280)).max(32) })).max(100),
  }),
);
