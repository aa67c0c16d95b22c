import { createHash } from 'node:crypto';
import { request } from 'node:https';
import { WritError } from '../../base/error.ts';
import { decodePem, encodePem } from '../../der/pem.ts';
import { connectionError } from '../../http/client-failure.ts';

const TIMEOUT_MS = 15_000;
const LARGEST_ROOT = 65_536;

/** Which root at which server. */
export interface PinnedRoot {
  /** `host:port`. */
  readonly address: string;
  /** SHA-256 of the root's DER. */
  readonly rootFingerprint: Uint8Array;
  /** Where that was said, for errors. */
  readonly field?: string;
}

/**
 * The root that somebody pins, a join token say, in PEM, from the server that it names. The connection is not verified, which is why
 * nothing but the question is sent over it and nothing but a certificate with the pinned SHA-256 is taken from it.
 *
 * Throws `unavailable` where there is no server, `bad_certificate` where it has another root.
 */
export async function fetchPinnedRoot({ address, rootFingerprint, field = 'token' }: PinnedRoot): Promise<string> {
  const der = tryDecode(await fetchText(`https://${address}/v1/trust/root.pem`, address, field));
  if (der !== undefined && createHash('sha256').update(der).digest().equals(rootFingerprint)) {
    return encodePem('CERTIFICATE', der);
  }
  const named = field === 'token' ? 'the join token names' : 'was named';
  throw new WritError('bad_certificate', `The server at ${address} does not have the root that ${named}.`, {
    field,
    remedy: `This is another server, or somebody stands in between. Ask for a new ${field} and compare the address.`,
  });
}

function fetchText(url: string, address: string, field: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const fail = (cause: Error): void => {
      const { message, remedy } = connectionError(address, cause, signal.aborted);
      reject(new WritError('unavailable', message, { field, ...(remedy === undefined ? {} : { remedy }), cause }));
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
