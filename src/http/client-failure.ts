import type { IncomingHttpHeaders } from 'node:http';
import { ERROR_CODES, type ErrorCode, isWritError, type WantedApproval, WritError } from '../base/error.ts';

/** The part of an answer that tells a failure. */
interface Failed {
  readonly status: number;
  readonly body: Uint8Array;
  readonly headers?: IncomingHttpHeaders;
}

interface Failure {
  /** Of the error's code, or of its text where OpenSSL's own error hides behind `EPROTO`. */
  readonly shows: RegExp;
  /** Goes on with "The server at HOST". */
  readonly how: string;
  readonly remedy: string;
}

/** A server that is there and cannot be trusted, as OpenSSL and Node say it. The last line takes what is left. */
const UNTRUSTED: readonly Failure[] = [
  {
    shows: /^(UNABLE_TO_GET_ISSUER|UNABLE_TO_VERIFY|SELF_SIGNED|DEPTH_ZERO)/,
    how: 'has a certificate of another authority than the one that is trusted here',
    remedy:
      'Check the address. If the authority was set up anew, take its new operator credential or a new join token.',
  },
  {
    shows: /^CERT_(HAS_EXPIRED|NOT_YET_VALID)/,
    how: 'has a certificate that is not valid now',
    remedy: 'Set the clock of this machine right; if it is right, look at that of the server.',
  },
  {
    shows: /^(ERR_TLS_CERT_ALTNAME_INVALID|HOSTNAME_MISMATCH)/,
    how: 'has a certificate for other names',
    remedy: 'Use a name or an address that the server has ("names" in its config.json).',
  },
  {
    shows: /^(CERT_|UNABLE_TO_|INVALID_)/,
    how: 'shows a certificate that is not to be trusted here',
    remedy: 'Check the address and the root; fetch the root again if the authority was set up anew.',
  },
];

/** Why a connection gave no answer. The last line takes what is left. */
const BROKEN: readonly Failure[] = [
  {
    shows: /^(ENOTFOUND|EAI_)/,
    how: 'was not found: there is no host of that name',
    remedy: 'Check the name for a slip of the pen, and that this machine can look up names.',
  },
  {
    shows: /^ECONNREFUSED/,
    how: 'is not there: nothing listens on that port',
    remedy: 'Check the port ("writ status" on its machine shows it), and that the server runs.',
  },
  {
    shows: /^(EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ENETDOWN)/,
    how: 'cannot be reached from this machine',
    remedy: 'Check the address, the network and its firewalls.',
  },
  {
    shows: /wrong.version.number|packet.length.too.long|http.request|unknown.protocol/i,
    how: 'does not speak TLS on that port',
    remedy: 'Give the port of the API, by default 8443; that of the CRLs is plain HTTP.',
  },
  {
    shows: /alert|protocol.version|handshake.failure/i,
    how: 'refused the TLS connection',
    remedy: 'Give the address of a Writ server; this one wants another version of TLS or another certificate.',
  },
  {
    shows: /(?:)/,
    how: 'broke the connection',
    remedy: 'Check that the address is that of a Writ server, and that it runs.',
  },
];

/** The error that a problem document (RFC 9457) stands for; for any other answer one that names its status. */
export function problemError(answer: Failed): WritError {
  const problem = parseObject(answer.body);
  const wait = retryAfter(answer);
  const code = problem?.['code'];
  if (problem === undefined || typeof code !== 'string' || !(code in ERROR_CODES)) {
    return new WritError('internal', `The server answered with status ${answer.status} and no problem document.`, {
      remedy: 'Check that the address is that of a Writ server.',
    });
  }
  const field = textOf(problem['field']);
  const id = textOf(problem['request_id']);
  const remedy =
    textOf(problem['remedy']) ?? (id === undefined ? undefined : `Look for request ${id} in the server's log.`);
  const reasons = Array.isArray(problem['reasons']) ? problem['reasons'].filter((one) => typeof one === 'string') : [];
  const approval = approvalOf(problem['approval']);
  return new WritError(code as ErrorCode, textOf(problem['detail']) ?? ERROR_CODES[code as ErrorCode], {
    ...(field === undefined ? {} : { field }),
    ...(remedy === undefined ? {} : { remedy }),
    reasons,
    ...(approval === undefined ? {} : { approval }),
    ...(wait > 0 ? { retryAfter: wait } : {}),
  });
}

/** Milliseconds that an answer asks to wait; 0 when it does not. */
export function retryAfter({ headers }: Failed): number {
  const seconds = Number(headers?.['retry-after'] ?? 0);
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : 0;
}

/** The member of a problem that says whose consent is wanted. */
function approvalOf(value: unknown): WantedApproval | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { needed, group, id, expires_at } = value as Record<string, unknown>;
  if (typeof needed !== 'number' || typeof group !== 'string') return undefined;
  return {
    needed,
    group,
    ...(typeof id === 'string' ? { id } : {}),
    ...(typeof expires_at === 'string' ? { expires_at } : {}),
  };
}

/** The error for a request that got no answer. */
export function connectionError(host: string, cause: NodeJS.ErrnoException, timedOut: boolean): WritError {
  // A check of the server's name that fails with an error of ours says best itself what is wrong.
  if (isWritError(cause)) return cause;
  const code = cause.code ?? '';
  const untrusted = UNTRUSTED.find(({ shows }) => shows.test(code));
  if (untrusted !== undefined) {
    const { how, remedy } = untrusted;
    return new WritError('bad_certificate', `The server at ${host} ${how}.`, { field: code, remedy, cause });
  }
  const { how, remedy } = timedOut ? SILENT : BROKEN.find(({ shows }) => shows.test(`${code} ${cause.message}`))!;
  return new WritError('unavailable', `The server at ${host} ${how}.`, { remedy, cause });
}

const SILENT: Pick<Failure, 'how' | 'remedy'> = {
  how: 'did not answer in time',
  remedy:
    'Check the address, the network and its firewalls, and that the server is well ("writ status" on its machine).',
};

/** True when the same request may well succeed a moment later. */
export function isPassing(outcome: Failed | WritError): boolean {
  if (outcome instanceof WritError) return outcome.code === 'unavailable';
  return outcome.status === 408 || outcome.status === 429 || outcome.status === 503;
}

function parseObject(body: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
