import { createHash, createPublicKey, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { request } from 'node:https';
import { WritError } from '../base/error.ts';
import { decodePem, encodePem } from '../der/pem.ts';
import { Client } from '../http/client.ts';
import { serverId } from '../spiffe-id/subject.ts';
import { type JoinToken, parseJoinToken } from '../wire/join-token.ts';
import { encodeCsr } from '../x509/csr.ts';
import { type Credential, newKey } from './credential.ts';
import type { Authority } from './identity.ts';
import { checkPeer, spiffeIdOf } from './peer.ts';

/** What the server answers to an enrolment or a renewal (`docs/REST.md`). */
interface CertificateAnswer {
  readonly serial: string;
  readonly spiffe_id: string;
  readonly certificate: string;
  readonly chain: readonly string[];
  readonly bundle?: string | readonly string[];
  readonly not_before: string;
  readonly not_after: string;
  readonly renew_after: string;
}

/** Where an enrolled instance finds its authority again. */
export interface Home {
  /** `https://host:port`. */
  readonly server: string;
  readonly roots: readonly string[];
}

/**
 * Enrols a new instance: makes a key, fetches the root and compares it with the fingerprint in the token before
 * anything secret is sent, then sends token and CSR. Throws `bad_token`, `token_refused`, `bad_certificate` (the server
 * is not the one that the token names) or `unavailable`.
 */
export async function enrol(tokenText: string): Promise<{ credential: Credential; home: Home }> {
  const token = parseJoinToken(tokenText);
  const server = `https://${token.address}`;
  const root = await fetchPinnedRoot(server, token);
  const key = await newKey();
  const client = openClient({ server, roots: [root] });
  try {
    const answer = await client.json<CertificateAnswer>({
      method: 'POST',
      path: '/v1/enrol',
      body: { token: tokenText.trim(), csr: await csrFor(key) },
    });
    const credential = toCredential(answer, key, [root]);
    return { credential, home: { server, roots: credential.roots } };
  } finally {
    client.close();
  }
}

/** The authority of an enrolled instance, spoken to with the instance's own certificate. */
export function openAuthority(home: Home): Authority {
  const client = openClient(home);
  return {
    async renew(current) {
      client.setCredential({
        key: current.key.export({ type: 'pkcs8', format: 'pem' }) as string,
        chain: [current.certificate, ...current.chain].join(''),
      });
      const key = await newKey();
      const answer = await client.json<CertificateAnswer>({
        method: 'POST',
        path: '/v1/certificates/renew',
        body: { csr: await csrFor(key) },
      });
      return toCredential(answer, key, current.roots);
    },
    close: () => client.close(),
  };
}

function openClient(home: Home): Client {
  const writ = serverId(spiffeIdOf(decodePem(home.roots[0]!, 'CERTIFICATE')).trustDomain);
  return new Client({ ...home, checkServer: checkPeer((id) => id.uri === writ.uri) });
}

/**
 * The root that the token pins. The connection is not verified, which is why nothing is sent over it and nothing but a
 * certificate with the pinned SHA-256 is taken from it.
 */
async function fetchPinnedRoot(server: string, token: JoinToken): Promise<string> {
  const pem = await new Promise<string>((resolve, reject) => {
    const fail = (cause: unknown): void =>
      reject(
        new WritError('unavailable', `The server at ${token.address} cannot be reached.`, {
          field: 'token',
          remedy: 'Check that it runs and that this machine can reach the address.',
          cause,
        }),
      );
    const signal = AbortSignal.timeout(ROOT_TIMEOUT_MS);
    request(`${server}/v1/trust/root.pem`, { rejectUnauthorized: false, agent: false, signal }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > LARGEST_ROOT) answer.destroy(new Error('the root is too large'));
      });
      answer.on('end', () => resolve(text));
      answer.on('error', fail);
    })
      .on('error', fail)
      .end();
  });
  const der = tryDecode(pem);
  const found = der === undefined ? undefined : createHash('sha256').update(der).digest();
  if (der === undefined || !found!.equals(token.rootFingerprint)) {
    throw new WritError('bad_certificate', 'The server does not have the root that the join token names.', {
      field: 'token',
      remedy: 'This is another server, or somebody stands in between. Ask for a new token and compare the address.',
    });
  }
  return encodePem('CERTIFICATE', der);
}

const ROOT_TIMEOUT_MS = 15_000;
const LARGEST_ROOT = 65_536;

function tryDecode(pem: string): Uint8Array | undefined {
  try {
    return decodePem(pem, 'CERTIFICATE');
  } catch {
    return undefined;
  }
}

async function csrFor(key: KeyObject): Promise<string> {
  const der = await encodeCsr({
    spki: createPublicKey(key).export({ type: 'spki', format: 'der' }),
    algorithm: 'ecdsa-p256-sha256',
    sign: async (message) => sign('sha256', message, key),
  });
  return encodePem('CERTIFICATE REQUEST', der);
}

/** Checks that the answer is for the key that was made here: a server cannot hand us somebody else's certificate. */
function toCredential(answer: CertificateAnswer, key: KeyObject, roots: readonly string[]): Credential {
  if (!new X509Certificate(answer.certificate).checkPrivateKey(key)) {
    throw new WritError('bad_certificate', 'The server answered with a certificate for another key.', {
      remedy: 'Report this: the server is broken.',
    });
  }
  const bundle =
    answer.bundle === undefined ? roots : typeof answer.bundle === 'string' ? [answer.bundle] : answer.bundle;
  return {
    key,
    spiffeId: answer.spiffe_id,
    serial: answer.serial,
    certificate: answer.certificate,
    chain: answer.chain,
    roots: [...new Set([...roots, ...bundle])],
    notBefore: Date.parse(answer.not_before),
    notAfter: Date.parse(answer.not_after),
    renewAfter: Date.parse(answer.renew_after),
  };
}
