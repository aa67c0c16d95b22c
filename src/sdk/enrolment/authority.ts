import { type KeyObject, X509Certificate } from 'node:crypto';
import { isWritError, WritError } from '../../base/error.ts';
import { decodePem } from '../../der/pem.ts';
import { Client } from '../../http/client.ts';
import { parseSpiffeId } from '../../spiffe-id/spiffe-id.ts';
import type { IssuedCertificate } from '../../wire/certificate.ts';
import { parseJoinToken } from '../../wire/join-token.ts';
import { type Credential, csrFor, newKey, pemOf } from '../identity/credential.ts';
import type { Authority } from '../identity/identity.ts';
import { spiffeIdOf } from '../peer/peer.ts';
import { checkUnknownWritServer, checkWritServer } from '../peer/writ-server.ts';
import { fetchPinnedRoot } from './pinned-root.ts';
import { nextRoots } from './roots.ts';

/**
 * What is taken of the server's answer to an enrolment or a renewal (`docs/REST.md`). Beside the roots in `bundle` there may
 * be cross-certificates that vouch for new ones.
 */
export type CertificateAnswer = Pick<
  IssuedCertificate,
  'serial' | 'spiffe_id' | 'certificate' | 'chain' | 'bundle' | 'not_before' | 'not_after' | 'renew_after'
>;

/** Where an enrolled instance finds its authority again. */
export interface Home {
  /** `https://host:port`. */
  readonly server: string;
  /** PEM. */
  readonly roots: readonly string[];
}

/**
 * Enrols a new instance: makes a key, fetches the root and compares it with the fingerprint in the token before
 * anything secret is sent, then sends token and CSR. Throws `bad_token`, `token_refused`, `bad_certificate` (the server
 * is not the one that the token names) or `unavailable`.
 */
export async function enrol(
  tokenText: string,
  { lifetimeSeconds }: { readonly lifetimeSeconds?: number } = {},
): Promise<{ credential: Credential; home: Home }> {
  const token = parseJoinToken(tokenText);
  const server = `https://${token.address}`;
  const root = await fetchPinnedRoot(token);
  const key = newKey(root);
  const client = new Client({ server, roots: [root], checkServer: checkUnknownWritServer(root) });
  try {
    const answer = await client.json<CertificateAnswer>({
      method: 'POST',
      path: '/v1/enrol',
      body: {
        token: tokenText.trim(),
        csr: await csrFor(key),
        ...(lifetimeSeconds === undefined ? {} : { lifetime_seconds: lifetimeSeconds }),
      },
    });
    // The one that the token pins stays, whatever the answer says.
    const credential = toCredential(answer, key, [...new Set([root, ...rootsAfter([root], answer)])]);
    return { credential, home: { server, roots: credential.roots } };
  } finally {
    client.close();
  }
}

/** What a request to renew with this key says besides. */
export type RenewalProof = (key: KeyObject, client: Client) => Promise<object>;

/** The authority of an enrolled instance with that SPIFFE ID, spoken to with the instance's own certificate. */
export function openAuthority(home: Home, spiffeId: string, proof?: RenewalProof): Authority {
  const client = new Client({ ...home, checkServer: checkWritServer(parseSpiffeId(spiffeId).trustDomain) });
  return {
    async renew(current) {
      client.setCredential(pemOf(current), current.roots);
      const key = newKey(current.roots[0]!);
      const answer = await client.json<CertificateAnswer>({
        method: 'POST',
        path: '/v1/certificates/renew',
        body: { csr: await csrFor(key), ...(await proof?.(key, client)) },
      });
      const next = toCredential(answer, key, rootsAfter(current.roots, answer));
      if (next.spiffeId !== current.spiffeId) throw broken('for somebody else');
      return next;
    },
    async stop(current, cause) {
      client.setCredential(pemOf(current), current.roots);
      const instance = parseSpiffeId(current.spiffeId).segments.at(-1)!;
      await client.json({ method: 'POST', path: `/v1/instances/${instance}/stop`, body: { cause } });
    },
    close: () => client.close(),
    server: home.server,
  };
}

/** How long a restart waits to hear what its stored identity is worth. */
const STANDING_MS = 3000;

/**
 * Whether the authority refuses a credential that has not expired: it was revoked while nobody looked. False when it
 * cannot be asked, since a restart must not need it.
 */
export async function isRefused(home: Home, current: Credential): Promise<boolean> {
  const checkServer = checkWritServer(parseSpiffeId(current.spiffeId).trustDomain);
  const { roots } = current;
  const client = new Client({
    ...home,
    roots,
    checkServer,
    credential: pemOf(current),
    attempts: 1,
    timeout: STANDING_MS,
  });
  try {
    await client.json({ path: '/v1/whoami' });
    return false;
  } catch (error) {
    return isWritError(error, 'revoked') || isWritError(error, 'not_authenticated');
  } finally {
    client.close();
  }
}

/** Checks that the answer is for the key that was made here and says what the certificate says. */
export function toCredential(answer: CertificateAnswer, key: KeyObject, roots: readonly string[]): Credential {
  if (!new X509Certificate(answer.certificate).checkPrivateKey(key)) throw broken('for another key');
  if (spiffeIdOf(decodePem(answer.certificate, 'CERTIFICATE')).uri !== answer.spiffe_id) throw broken('for another id');
  return {
    key,
    spiffeId: answer.spiffe_id,
    serial: answer.serial,
    certificate: answer.certificate,
    chain: answer.chain,
    roots,
    notBefore: Date.parse(answer.not_before),
    notAfter: Date.parse(answer.not_after),
    renewAfter: Date.parse(answer.renew_after),
  };
}

/** The roots after an answer. Throws when what it names is no certificate. */
export function rootsAfter(held: readonly string[], { bundle = [], chain }: CertificateAnswer): readonly string[] {
  // As nearly always: what is held is all that there is.
  if (bundle.length > 0 && bundle.every((pem) => held.includes(pem))) return [...new Set(bundle)];
  if (!bundle.every(isCertificate)) throw broken('and roots that are none');
  return nextRoots(held, { offered: bundle, others: chain }, Date.now());
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}

function broken(how: string): WritError {
  return new WritError('bad_certificate', `The server answered with a certificate ${how}.`, {
    remedy: 'Report this: the server is broken.',
  });
}
