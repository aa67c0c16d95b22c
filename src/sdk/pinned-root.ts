import { createHash } from 'node:crypto';
import { request } from 'node:https';
import { WritError } from '../base/error.ts';
import { decodePem, encodePem } from '../der/pem.ts';
import { connectionError } from '../http/client-failure.ts';
import type { JoinToken } from '../wire/join-token.ts';

const TIMEOUT_MS = 15_000;
const LARGEST_ROOT = 65_536;

/**
 * The root that a join token pins, in PEM, from the server that it names. The connection is not verified, which is why
 * nothing but the question is sent over it and nothing but a certificate with the pinned SHA-256 is taken from it.
 *
 * Throws `unavailable` where there is no server, `bad_certificate` where it has another root.
 */
export async function fetchPinnedRoot({ address, rootFingerprint }: JoinToken): Promise<string> {
  const der = tryDecode(await fetchText(`https://${address}/v1/trust/root.pem`, address));
  if (der !== undefined && createHash('sha256').update(der).digest().equals(rootFingerprint)) {
    return encodePem('CERTIFICATE', der);
  }
  throw new WritError('bad_certificate', `The server at ${address} does not have the root that the join token names.`, {
    field: 'token',
    remedy: 'This is another server, or somebody stands in between. Ask for a new token and compare the address.',
  });
}

function fetchText(url: string, address: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const fail = (cause: Error): void => {
      const { message, remedy } = connectionError(address, cause, signal.aborted);
      reject(
        new WritError('unavailable', message, { field: 'token', ...(remedy === undefined ? {} : { remedy }), cause }),
      );
    };
    request(url, { rejectUnauthorized: false, agent: false, signal }, (answer) => {
      let text = '';
      answer.setEncoding('latin1');
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
}

function tryDecode(pem: string): Uint8Array | undefined {
  try {
    return decodePem(pem, 'CERTIFICATE');
  } catch {
    return undefined;
  }
}
