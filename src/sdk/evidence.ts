import { constants, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { WritError } from '../base/error.ts';
import { decodePem, decodePemBlocks, encodePem } from '../der/pem.ts';
import { Client } from '../http/client.ts';
import type { Challenge, CreateChallenge, Evidence, RequestSvid } from '../wire/attestation.ts';
import { boundOctets } from '../wire/bound-octets.ts';
import type { ModuleSignature } from '../wire/certificate.ts';
import type { Runtime } from '../wire/runtime.ts';
import { type CertificateAnswer, type Home, type RenewalProof, rootsAfter, toCredential } from './authority.ts';
import { type Credential, csrFor, newKey } from './credential.ts';
import { fetchPinnedRoot } from './pinned-root.ts';
import { checkUnknownWritServer } from './writ-server.ts';

/** Asks the server for something fresh to sign. */
type AskChallenge = (request: CreateChallenge) => Promise<Challenge>;

/** Where evidence comes from: what a program has that an attestor of the server vouches for. */
export interface EvidenceSource {
  /** Evidence for a key (DER of its SubjectPublicKeyInfo). Asked for once, at enrolment. */
  present(spki: Uint8Array, ask: AskChallenge): Promise<Evidence>;
  /** What goes with each renewal, for sources that vouch for each. */
  renew?(spki: Uint8Array, ask: AskChallenge): Promise<ModuleSignature>;
}

/** Where to enrol with evidence, how to know the server there, and as whom. */
export interface WithEvidence {
  readonly source: EvidenceSource;
  /** `https://host:port`. */
  readonly server: string;
  /**
   * The authority's root, since no evidence says which one it is: PEM, or its fingerprint as the server shows it when it
   * starts, `sha256:` and 64 hexadecimal digits.
   */
  readonly root: string;
  /** As which agent or service, where registration entries for several match. */
  readonly agent?: string | undefined;
  /** What the program says of the agent that it runs, for policy and ledger. */
  readonly runtime?: Runtime | undefined;
  /** How long certificates are to live; absent: as entry and profile say. */
  readonly lifetimeSeconds?: number | undefined;
}

export interface TokenEvidenceOptions {
  /** Name of the attestor at the server, see "writ attestor list". */
  readonly attestor: string;
  /** The token, or what fetches it: for issuers that are asked, like that of GitHub Actions. */
  readonly token?: string | (() => string | Promise<string>) | undefined;
  /** File that somebody keeps a fresh token in, like that of a Kubernetes service account. */
  readonly file?: string | undefined;
  /** Environment variable that names such a file, like `AWS_WEB_IDENTITY_TOKEN_FILE` or `AZURE_FEDERATED_TOKEN_FILE`. */
  readonly fileFrom?: string | undefined;
  /** Kind of the attestor; default `oidc`. */
  readonly kind?: 'oidc' | 'k8s' | 'gcp';
}

/** A token of somebody whom an attestor of the server believes; read when it is needed, so that it is fresh. */
export function tokenEvidence(options: TokenEvidenceOptions): EvidenceSource {
  const { attestor, token, file, fileFrom, kind = 'oidc' } = options;
  requireOne({ token, file, fileFrom });
  const read = async (): Promise<string> => {
    if (typeof token === 'function') return token();
    if (token !== undefined) return token;
    const path = file ?? process.env[fileFrom!];
    if (path !== undefined && path !== '') return readText(path, 'file');
    throw new WritError('bad_config', 'The environment does not say where the token is.', {
      field: 'fileFrom',
      remedy: `Set ${fileFrom} to the path of the file.`,
    });
  };
  return { present: async () => ({ kind, attestor, token: (await read()).trim() }) };
}

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
      const own = typeof key === 'object' ? key : parseKey(key ?? (await readText(keyFile!, 'keyFile')));
      const { challenge } = await ask({ attestor });
      const signature = signWith(own, boundOctets(challenge, spki)).toString('base64');
      return { kind: 'x509pop', attestor, chain: certificatesOf(text), challenge, signature };
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

/**
 * Enrols a new instance with evidence, which is not presented before the server has shown that it belongs to the root. Throws
 * `evidence_refused`, `bad_certificate` (another server), `unavailable`, or what the source throws.
 */
export async function enrolWithEvidence(
  options: WithEvidence,
): Promise<{ readonly credential: Credential; readonly home: Home }> {
  const { source, server, agent, runtime, lifetimeSeconds } = options;
  const root = await rootOf(options);
  const key = await newKey(root);
  const client = new Client({ server, roots: [root], checkServer: checkUnknownWritServer(root) });
  try {
    const body: RequestSvid = {
      csr: await csrFor(key),
      evidence: await source.present(spkiOf(key), asker(client)),
      ...(agent === undefined ? {} : { agent }),
      ...(runtime === undefined ? {} : { runtime }),
      ...(lifetimeSeconds === undefined ? {} : { lifetime_seconds: lifetimeSeconds }),
    };
    const answer = await client.json<CertificateAnswer>({ method: 'POST', path: '/v1/svid', body });
    const credential = toCredential(answer, key, [...new Set([root, ...rootsAfter([root], answer)])]);
    return { credential, home: { server, roots: credential.roots } };
  } finally {
    client.close();
  }
}

/** The root in PEM; fetched from the server where its fingerprint is known. */
async function rootOf({ root, server }: WithEvidence): Promise<string> {
  const [, fingerprint] = /^(?:sha256:)?([0-9a-f]{64})$/i.exec(root.trim()) ?? [];
  if (fingerprint === undefined) return encodePem('CERTIFICATE', decodePem(root, 'CERTIFICATE'));
  const address = URL.canParse(server) ? new URL(server).host : server;
  return fetchPinnedRoot({ address, rootFingerprint: Buffer.from(fingerprint, 'hex'), field: 'root' });
}

/** What goes with renewals, where evidence vouches for each of them. */
export function proofOf(evidence: WithEvidence | undefined): RenewalProof | undefined {
  const source = evidence?.source;
  if (source?.renew === undefined) return undefined;
  return async (key, client) => ({ tpm: await source.renew!(spkiOf(key), asker(client)) });
}

function asker(client: Client): AskChallenge {
  return (body) => client.json<Challenge>({ method: 'POST', path: '/v1/attestation/challenges', body });
}

function spkiOf(key: KeyObject): Uint8Array {
  return new Uint8Array(createPublicKey(key).export({ type: 'spki', format: 'der' }));
}

function certificatesOf(pem: string): string[] {
  return decodePemBlocks(pem)
    .filter(({ label }) => label === 'CERTIFICATE')
    .map(({ der }) => encodePem('CERTIFICATE', der));
}

function requireOne(given: Readonly<Record<string, unknown>>): void {
  if (Object.values(given).filter((value) => value !== undefined).length === 1) return;
  throw new WritError('bad_config', 'The evidence is not given, or given twice.', {
    field: Object.keys(given)[0]!,
    remedy: `Give one of ${Object.keys(given).join(', ')}.`,
  });
}

async function readText(file: string, field: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new WritError('bad_config', 'A file of the evidence cannot be read.', {
      field,
      remedy: `Check the path: ${file}`,
      cause,
    });
  }
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
