import { createPublicKey, type KeyObject } from 'node:crypto';
import { WritError } from '../../base/error.ts';
import { decodePem, encodePem } from '../../der/pem.ts';
import { Client, parseOrigin } from '../../http/client.ts';
import type { Challenge, RequestSvid } from '../../wire/attestation.ts';
import { explainRefusal } from '../evidence/refusal.ts';
import { currentRuntime } from '../evidence/runtime-claims.ts';
import type { AskChallenge, WithEvidence } from '../evidence/source.ts';
import { type Credential, csrFor, newKey } from '../identity/credential.ts';
import { checkUnknownWritServer } from '../peer/writ-server.ts';
import { type CertificateAnswer, type Home, type RenewalProof, rootsAfter, toCredential } from './authority.ts';
import { fetchPinnedRoot } from './pinned-root.ts';

/**
 * Enrols a new instance with evidence, which is not presented before the server has shown that it belongs to the root. Throws
 * `evidence_refused` (with what the bearer can know of why), `bad_certificate` (another server), `unavailable`, or what the
 * source throws.
 */
export async function enrolWithEvidence(
  options: WithEvidence,
): Promise<{ readonly credential: Credential; readonly home: Home }> {
  const { source, server, agent, runtime, lifetimeSeconds } = options;
  const root = await rootOf(options);
  const key = newKey(root);
  const client = new Client({ server, roots: [root], checkServer: checkUnknownWritServer(root) });
  try {
    const body: RequestSvid = {
      csr: await csrFor(key),
      evidence: await source.present(spkiOf(key), asker(client)),
      ...(agent === undefined ? {} : { agent }),
      ...(runtime === undefined ? {} : { runtime: await currentRuntime(runtime) }),
      ...(lifetimeSeconds === undefined ? {} : { lifetime_seconds: lifetimeSeconds }),
    };
    const answer = await client
      .json<CertificateAnswer>({ method: 'POST', path: '/v1/svid', body })
      .catch((error: unknown) => {
        throw explainRefusal(error, body.evidence, Date.now());
      });
    const credential = toCredential(answer, key, [...new Set([root, ...rootsAfter([root], answer)])]);
    return { credential, home: { server, roots: credential.roots } };
  } finally {
    client.close();
  }
}

/** The root in PEM; fetched from the server where its fingerprint is known. */
async function rootOf({ root, server }: WithEvidence): Promise<string> {
  const { host: address } = parseOrigin(server);
  const [, fingerprint] = /^(?:sha256:)?([0-9a-f]{64})$/i.exec(root.trim()) ?? [];
  if (fingerprint !== undefined) {
    return fetchPinnedRoot({ address, rootFingerprint: Buffer.from(fingerprint, 'hex'), field: 'root' });
  }
  try {
    return encodePem('CERTIFICATE', decodePem(root, 'CERTIFICATE'));
  } catch (cause) {
    throw new WritError('bad_config', 'The root is neither a fingerprint nor a certificate.', {
      field: 'root',
      remedy: 'Give sha256: and 64 hexadecimal digits, as "writ status" shows it, or the certificate in PEM.',
      cause,
    });
  }
}

/** What goes with renewals: of evidence that vouches for each of them, and what the runtime says by then. */
export function proofOf(evidence: WithEvidence | undefined): RenewalProof | undefined {
  if (evidence === undefined || (evidence.source.renew === undefined && evidence.runtime === undefined))
    return undefined;
  const { source, runtime } = evidence;
  return async (key, client) => ({
    ...(source.renew === undefined ? {} : { tpm: await source.renew(spkiOf(key), asker(client)) }),
    ...(runtime === undefined ? {} : { runtime: await currentRuntime(runtime) }),
  });
}

function asker(client: Client): AskChallenge {
  return (body) => client.json<Challenge>({ method: 'POST', path: '/v1/attestation/challenges', body });
}

function spkiOf(key: KeyObject): Uint8Array {
  return new Uint8Array(createPublicKey(key).export({ type: 'spki', format: 'der' }));
}
