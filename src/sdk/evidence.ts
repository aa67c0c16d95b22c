import { constants, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { WritError } from '../base/error.ts';
import { Client } from '../http/client.ts';
import type { Challenge, CreateChallenge, Evidence } from '../wire/attestation.ts';
import { boundOctets } from '../wire/bound-octets.ts';
import type { ModuleSignature } from '../wire/certificate.ts';
import { type CertificateAnswer, type Home, type RenewalProof, rootsAfter, toCredential } from './authority.ts';
import { type Credential, csrFor, newKey } from './credential.ts';
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

/** Where to enrol with evidence, and how to know the server there. */
export interface WithEvidence {
  readonly source: EvidenceSource;
  /** `https://host:port`. */
  readonly server: string;
  /** PEM of the authority's root: no evidence says which one it is. */
  readonly root: string;
}

/**
 * A token in a file, as Kubernetes and CI systems write them; read when it is needed. `kind`: `oidc`, `k8s` or `gcp`.
 */
export function tokenEvidence(options: {
  readonly attestor: string;
  readonly file: string;
  readonly kind?: 'oidc' | 'k8s' | 'gcp';
}): EvidenceSource {
  const { attestor, file, kind = 'oidc' } = options;
  return {
    async present() {
      try {
        return { kind, attestor, token: (await readFile(file, 'utf8')).trim() };
      } catch (cause) {
        throw new WritError('bad_config', 'The file with the token cannot be read.', {
          field: 'file',
          remedy: `Check the path: ${file}`,
          cause,
        });
      }
    },
  };
}

/** A certificate of another authority with its key, both in PEM; the bearer's certificate first. */
export function certificateEvidence(options: {
  readonly attestor: string;
  readonly key: string;
  readonly chain: readonly string[];
}): EvidenceSource {
  const { attestor, chain } = options;
  const key = createPrivateKey(options.key);
  return {
    async present(spki, ask) {
      const { challenge } = await ask({ attestor });
      const signature = signWith(key, boundOctets(challenge, spki)).toString('base64');
      return { kind: 'x509pop', attestor, chain, challenge, signature };
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

/** Enrols a new instance with evidence. Throws `evidence_refused`, `bad_certificate` (another server) or `unavailable`. */
export async function enrolWithEvidence({
  source,
  server,
  root,
}: WithEvidence): Promise<{ credential: Credential; home: Home }> {
  const key = await newKey(root);
  const client = new Client({ server, roots: [root], checkServer: checkUnknownWritServer(root) });
  try {
    const evidence = await source.present(spkiOf(key), asker(client));
    const body = { csr: await csrFor(key), evidence };
    const answer = await client.json<CertificateAnswer>({ method: 'POST', path: '/v1/svid', body });
    const credential = toCredential(answer, key, [...new Set([root, ...rootsAfter([root], answer)])]);
    return { credential, home: { server, roots: credential.roots } };
  } finally {
    client.close();
  }
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
