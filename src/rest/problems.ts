import { ERROR_CODES, type ErrorCode, WritError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import type { Reply } from '../http/route.ts';
import { PROBLEM_TYPE, type Problem } from '../wire/problem.ts';

/** What each code is over HTTP. Complete: a new code does not compile without its line. */
const STATUS: Readonly<Record<ErrorCode, number>> = {
  bad_der: 400,
  bad_pem: 400,
  bad_certificate: 400,
  bad_csr: 400,
  bad_spiffe_id: 400,
  bad_request: 400,
  bad_token: 400,
  bad_cursor: 400,
  bad_config: 500,
  bad_policy: 422,
  bad_note: 400,
  too_large: 413,
  method_not_allowed: 405,
  unsupported_media_type: 415,
  request_timeout: 408,
  not_authenticated: 401,
  denied: 403,
  needs_approval: 403,
  token_refused: 403,
  evidence_refused: 403,
  key_in_use: 409,
  not_found: 404,
  conflict: 409,
  idempotency_mismatch: 422,
  rate_limited: 429,
  revoked: 403,
  inactive: 403,
  expired: 403,
  wrong_passphrase: 500,
  unsafe_permissions: 500,
  locked: 500,
  newer_version: 500,
  behind_anchor: 503,
  ledger_corrupt: 500,
  storage_failed: 503,
  unsafe_database: 500,
  lint_failed: 500,
  signer_failed: 503,
  unavailable: 503,
  clock: 503,
  internal: 500,
};

/** The status that a code stands for. */
export function statusOf(code: ErrorCode): number {
  return STATUS[code];
}

/**
 * Turns whatever was thrown into a problem document. What concerns the installation rather than the request is 500
 * without detail and goes to the log under the request id; so does, as `internal`, everything that is no `WritError`.
 */
export function problemReplies(log: Log): (error: unknown, requestId: string, status?: number) => Reply {
  return (error, requestId, override) => {
    const known = error instanceof WritError ? error : undefined;
    const status = override ?? known?.as?.status ?? (known === undefined ? 500 : STATUS[known.code]);
    if (status === 500) log.error('request failed', failure(error, requestId));
    else if (status === 503) log.warn('request refused', { request_id: requestId, code: known?.code });
    const problem =
      known === undefined || status === 500 ? hidden(known?.code, requestId) : document(known, status, requestId);
    return { status, type: PROBLEM_TYPE, body: JSON.stringify(problem), headers: headersOf(status) };
  };
}

function document(error: WritError, status: number, requestId: string): Problem {
  return {
    type: error.as?.type ?? `urn:writ:error:${error.code}`,
    title: error.as?.title ?? ERROR_CODES[error.code],
    status,
    code: error.code,
    detail: error.message,
    ...(error.field === undefined || error.field === '' ? {} : { field: error.field }),
    ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
    ...(error.reasons.length === 0 ? {} : { reasons: error.reasons }),
    ...(error.approval === undefined ? {} : { approval: error.approval }),
    ...error.access,
    request_id: requestId,
  };
}

function hidden(code: ErrorCode = 'internal', requestId: string): Problem {
  return {
    type: `urn:writ:error:${code}`,
    title: ERROR_CODES[code],
    status: 500,
    code,
    detail: 'The server could not do this.',
    remedy: `Ask whoever runs the server; its log has the cause under ${requestId}.`,
    request_id: requestId,
  };
}

function headersOf(status: number): readonly string[] {
  if (status === 503) return ['Retry-After', '1'];
  // RFC 9110 §15.5.2 demands the header; no registered scheme stands for a certificate in the handshake.
  return status === 401 ? ['WWW-Authenticate', 'TLS-Client-Certificate'] : [];
}

/**
 * What the log is told. Messages of errors that are not ours may hold input (a parser quotes what it cannot read), so
 * of those only name, code and where they were thrown.
 */
function failure(error: unknown, requestId: string): Record<string, string | undefined> {
  if (error instanceof WritError) {
    const cause = error.cause instanceof Error ? `${error.cause.name} ${framesOf(error.cause)}` : undefined;
    return {
      request_id: requestId,
      code: error.code,
      message: error.message,
      field: error.field,
      cause,
      stack: framesOf(error),
    };
  }
  if (!(error instanceof Error)) return { request_id: requestId, code: 'internal', name: typeof error };
  // The engine's own words about our code, not about input.
  const message = error instanceof TypeError || error instanceof ReferenceError ? error.message : undefined;
  const code = (error as NodeJS.ErrnoException).code;
  return {
    request_id: requestId,
    code: 'internal',
    name: `${error.name} ${code ?? ''}`.trim(),
    message,
    stack: framesOf(error),
  };
}

function framesOf(error: Error): string {
  const frames = (error.stack ?? '').split('\n').filter((line) => line.startsWith('    at '));
  return frames.slice(0, 12).join('\n');
}
