import { request as requestPlain } from 'node:http';
import { request as requestTls } from 'node:https';

/** Where a service of this machine answers: a socket in the file system, or an address with what it is trusted by. */
export type LocalService =
  | { readonly socketPath: string }
  | {
      readonly url: URL;
      readonly ca: string | undefined;
      readonly insecure: boolean;
      readonly token: string | undefined;
    };

const TIMEOUT_MS = 2000;
/** Octets of an answer; a list of some hundred pods has a few megabytes. */
const LARGEST = 32 * 1024 * 1024;

/** The JSON that a service answers with; rejects with a sentence without secrets where it does not. */
export function getJson(service: LocalService, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const sent =
      'socketPath' in service
        ? requestPlain({ socketPath: service.socketPath, path, signal, headers: { Host: 'localhost' } })
        : requestTls({
            ...{ host: service.url.hostname.replace(/^\[|\]$/g, ''), port: service.url.port || 443, path, signal },
            ...(service.ca === undefined ? {} : { ca: service.ca }),
            rejectUnauthorized: !service.insecure,
            headers: service.token === undefined ? {} : { Authorization: `Bearer ${service.token}` },
          });
    sent.on('error', (error) => reject(new Error(signal.aborted ? 'no answer in time' : codeOf(error))));
    sent.on('response', (answer) => {
      const pieces: Buffer[] = [];
      let length = 0;
      answer.on('data', (piece: Buffer) => {
        length += piece.length;
        if (length > LARGEST) sent.destroy(new Error('the answer is too large'));
        else pieces.push(piece);
      });
      answer.on('error', (error) => reject(error));
      answer.on('end', () => {
        if (answer.statusCode !== 200) {
          reject(new Error(`status ${answer.statusCode}`));
          return;
        }
        try {
          resolve(JSON.parse(Buffer.concat(pieces, length).toString('utf8')));
        } catch {
          reject(new Error('the answer is no JSON'));
        }
      });
    });
    sent.end();
  });
}

function codeOf(error: Error): string {
  return (error as NodeJS.ErrnoException).code ?? error.message;
}

/** A member of what may be anything; undefined where there is none. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  let found = value;
  for (const name of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) return undefined;
    found = (found as Record<string, unknown>)[name];
  }
  return found;
}

/** The same where it has to be a text that a fact can hold. */
export function textAt(value: unknown, ...path: readonly string[]): string | undefined {
  const found = at(value, ...path);
  return typeof found === 'string' && found !== '' && found.length <= 1024 ? found : undefined;
}

/** Facts of labels: each with its name behind a prefix. Names that no fact can have are passed over. */
export function labelFacts(prefix: string, labels: unknown): Record<string, readonly string[]> {
  const facts: Record<string, readonly string[]> = {};
  if (typeof labels !== 'object' || labels === null) return facts;
  for (const [name, value] of Object.entries(labels).slice(0, MOST_LABELS)) {
    const whole = `${prefix}${name}`;
    if (typeof value === 'string' && value.length <= 1024 && /^[a-z0-9]+:[^\s=]{1,128}$/.test(whole))
      facts[whole] = [value];
  }
  return facts;
}

/** Of the 128 facts that a workload can have. */
const MOST_LABELS = 48;
