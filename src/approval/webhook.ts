import { createHmac } from 'node:crypto';
import { request as httpRequest, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';

/** A URL of the configuration that is told of approvals. */
export interface Webhook {
  readonly url: string;
  /** Secret shared with the receiver; at least 24 octets. */
  readonly key: Uint8Array;
  /** PEM of the authorities that the receiver's certificate must lead to; absent: those that Node knows. */
  readonly ca?: string;
}

/** Milliseconds for one attempt. */
const TIMEOUT_MS = 10_000;

/** The octets of a key file: `whsec_` and base64 as Standard Webhooks have it, or whatever else is in it. */
export function webhookKey(file: Uint8Array): Uint8Array {
  const text = Buffer.from(file).toString('utf8').trim();
  return text.startsWith('whsec_') ? Buffer.from(text.slice(6), 'base64') : Buffer.from(text, 'utf8');
}

/**
 * The three headers of Standard Webhooks 1.0 (standardwebhooks.com): `v1` is HMAC-SHA256 over id, time and body, so that
 * neither can be changed and an old message cannot pass for a new one. `at` in milliseconds.
 */
export function signedHeaders(
  key: Uint8Array,
  message: { readonly id: string; readonly at: number; readonly body: string },
): Readonly<Record<'webhook-id' | 'webhook-timestamp' | 'webhook-signature', string>> {
  const { id, at, body } = message;
  const timestamp = Math.floor(at / 1000);
  const mac = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': String(timestamp), 'webhook-signature': `v1,${mac}` };
}

/** Sends one message. Gives undefined when the receiver has taken it (2xx), else why not, in a few words. Never throws. */
export function sendWebhook(
  { url, key, ca }: Webhook,
  message: { readonly id: string; readonly at: number; readonly body: string },
): Promise<string | undefined> {
  const options: RequestOptions = {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(message.body),
      ...signedHeaders(key, message),
    },
    // A connection of its own: what is sent is rare.
    agent: false,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  };
  return new Promise((resolve) => {
    const fail = (error: NodeJS.ErrnoException): void => resolve(error.code ?? error.name);
    const sent =
      new URL(url).protocol === 'http:'
        ? httpRequest(url, options)
        : httpsRequest(url, { ...options, ...(ca === undefined ? {} : { ca }) });
    sent.on('response', (answer) => {
      const status = answer.statusCode ?? 0;
      // Whatever it says beside that is of no interest. A redirection is not followed: the URL is the administrator's.
      answer.resume();
      resolve(status >= 200 && status < 300 ? undefined : `status ${status}`);
    });
    sent.on('error', fail);
    sent.end(message.body);
  });
}
