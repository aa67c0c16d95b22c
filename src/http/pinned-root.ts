import { createHash, X509Certificate } from 'node:crypto';
import { request } from 'node:https';
import { WritError } from '../base/error.ts';
import { connectionError } from './client-failure.ts';

const LARGEST_ROOT = 64 * 1024;
const TIMEOUT_MS = 10_000;

/**
 * Fetches the root of a server that nothing is known of but the SHA-256 of its root certificate (DER), and gives it as
 * PEM. The connection is not verified and carries nothing but the question; the answer is taken only when its hash is
 * the pinned one. Throws `bad_certificate` when it is not, `unavailable` when there is no answer.
 */
export async function fetchPinnedRoot(server: string, fingerprint: Uint8Array): Promise<string> {
  const text = await fetchUnverified(new URL('/v1/trust/root.pem', server));
  const pem = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(text)?.[0];
  if (pem !== undefined && matches(pem, fingerprint)) return `${pem}\n`;
  throw new WritError('bad_certificate', 'The server does not have the root that the token names.', {
    field: 'root fingerprint',
    remedy: 'Check the address in the token; another server may be answering there. Do not go on without knowing why.',
  });
}

function matches(pem: string, fingerprint: Uint8Array): boolean {
  try {
    return createHash('sha256').update(new X509Certificate(pem).raw).digest().equals(fingerprint);
  } catch {
    return false;
  }
}

function fetchUnverified(url: URL): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const fail = (cause: NodeJS.ErrnoException): void => reject(connectionError(url.host, cause, signal.aborted));
    const sent = request(url, { rejectUnauthorized: false, agent: false, signal }, (answer) => {
      let text = '';
      answer.setEncoding('latin1');
      answer.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > LARGEST_ROOT) answer.destroy(new Error('the answer is too large'));
      });
      answer.on('end', () => resolve(text));
      answer.on('error', fail);
    });
    sent.on('error', fail);
    sent.end();
  });
}
