import { once } from 'node:events';
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { WritError } from '../../base/error.ts';

export interface Question {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Default `GET`. */
  readonly method?: 'GET' | 'PUT';
  /** Who is asked, for errors: "The … did not answer as it should". */
  readonly whom: string;
  /** Where that was said, for errors. */
  readonly field: string;
  /** What to look at when there is no such answer. */
  readonly remedy: string;
  /** A header that the answer must have: whoever does not send it is somebody else. */
  readonly answers?: readonly [name: string, value: string];
}

const TIMEOUT_MS = 5000;
const LARGEST = 65_536;

/**
 * One question to the platform that a program runs on. It is asked directly, whatever proxies there are, no redirect is
 * followed, and everything about it is bounded. Throws `unavailable` for all but an answer with status 200.
 */
export async function ask(question: Question): Promise<string> {
  const { url, headers, method = 'GET', answers } = question;
  const request = url.startsWith('https:') ? requestHttps : requestHttp;
  try {
    const sent = request(url, { method, headers, agent: false, signal: AbortSignal.timeout(TIMEOUT_MS) }).end();
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    let text = '';
    for await (const chunk of answer.setEncoding('utf8')) {
      text += String(chunk);
      if (text.length > LARGEST) throw new Error('the answer is too large');
    }
    if (answer.statusCode !== 200) throw new Error(`status ${answer.statusCode}`);
    if (answers !== undefined && answer.headers[answers[0]] !== answers[1]) throw new Error(`no ${answers[0]}`);
    return text;
  } catch (cause) {
    throw noAnswer(question, howOf(cause), cause);
  }
}

/** The same for an answer in JSON that has a text by that name. Throws `unavailable` where it has none. */
export async function askFor(name: string, question: Question): Promise<string> {
  const answer = objectIn(await ask(question));
  const value = answer[name];
  if (typeof value === 'string' && value !== '') return value;
  throw noAnswer(question, `no "${name}"`);
}

/** Of an answer that is of another kind than it should be. */
function noAnswer({ whom, field, remedy }: Question, how: string, cause?: unknown): WritError {
  return new WritError('unavailable', `The ${whom} did not answer as it should: ${how}.`, { field, remedy, cause });
}

function objectIn(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>;
  } catch {
    // As for anything else that is none.
  }
  return {};
}

/** Nothing of what was answered. */
function howOf(cause: unknown): string {
  const { name, code, message } = cause as NodeJS.ErrnoException;
  if (name === 'TimeoutError' || name === 'AbortError') return `no answer in ${TIMEOUT_MS / 1000} seconds`;
  return code ?? (/^(?:status \d+|no [a-z-]+|the answer is too large)$/.test(message) ? message : 'a broken answer');
}
