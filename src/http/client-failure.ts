import { ERROR_CODES, type ErrorCode, isWritError, WritError } from '../base/error.ts';

/** The part of an answer that tells a failure. */
interface Failed {
  readonly status: number;
  readonly body: Uint8Array;
}

/** What OpenSSL and Node say of a server that is there and cannot be trusted. */
const UNTRUSTED = /^(CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|ERR_TLS_CERT_ALTNAME_INVALID|HOSTNAME_MISMATCH|INVALID_)/;

/** The error that a problem document (RFC 9457) stands for; for any other answer one that names its status. */
export function problemError(answer: Failed): WritError {
  const problem = parseObject(answer.body);
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
  return new WritError(code as ErrorCode, textOf(problem['detail']) ?? ERROR_CODES[code as ErrorCode], {
    ...(field === undefined ? {} : { field }),
    ...(remedy === undefined ? {} : { remedy }),
    reasons,
  });
}

/** The error for a request that got no answer. */
export function connectionError(host: string, cause: NodeJS.ErrnoException, timedOut: boolean): WritError {
  // A check of the server's name that fails with an error of ours says best itself what is wrong.
  if (isWritError(cause)) return cause;
  if (UNTRUSTED.test(cause.code ?? '')) {
    return new WritError(
      'bad_certificate',
      `The server at ${host} shows a certificate that is not to be trusted here.`,
      {
        field: cause.code ?? 'certificate',
        remedy: 'Check the address and the root; fetch the root again if the authority was set up anew.',
        cause,
      },
    );
  }
  const how = timedOut
    ? 'did not answer in time'
    : cause.code === 'ECONNREFUSED'
      ? 'is not there'
      : 'broke the connection';
  return new WritError('unavailable', `The server at ${host} ${how}.`, {
    remedy: 'Check the address, and that the server runs.',
    cause,
  });
}

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
