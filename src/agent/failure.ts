import { type ErrorCode, isWritError, WritError } from '../base/error.ts';
import type { Status } from '../grpc/status.ts';

/** What a caller is told of an error: SPIFFE Workload Endpoint §6 has four codes, and a caller that retries goes by them. */
export function statusOf(error: unknown): Status {
  if (!isWritError(error)) return { code: 'internal', message: 'The daemon failed; its log says more.' };
  const message = error.remedy === undefined ? error.message : `${error.message} ${error.remedy}`;
  switch (error.code) {
    case 'bad_request':
      return { code: 'invalid_argument', message };
    case 'too_large':
      return { code: 'resource_exhausted', message };
    case 'denied':
    case 'inactive':
    case 'revoked':
    case 'not_found':
    case 'needs_approval':
      return { code: 'permission_denied', message };
    default:
      return { code: isPassing(error) ? 'unavailable' : 'internal', message };
  }
}

/** What the server says of the request itself, and will say again. */
const DEFINITE: ReadonlySet<ErrorCode> = new Set([
  'bad_request',
  'bad_csr',
  'too_large',
  'method_not_allowed',
  'denied',
  'needs_approval',
  'evidence_refused',
  'key_in_use',
  'not_found',
  'conflict',
  'idempotency_mismatch',
  'revoked',
  'inactive',
  'expired',
  'lint_failed',
]);

/**
 * Whether the server may well do it later: where it was not reached, where whoever answered was not it (another certificate, a
 * proxy in front of it), and where it cannot do anything now, as without its database or with a clock that is behind.
 */
export function isPassing(error: unknown): boolean {
  return !isWritError(error) || !DEFINITE.has(error.code);
}

/**
 * Milliseconds until the server is asked again: not before it said, and then not all at once who were turned away at once.
 */
export function pauseOf(error: unknown, least: number, random: () => number): number {
  const asked = isWritError(error) ? (error.retryAfter ?? 0) : 0;
  return Math.max(least, asked * (1 + random() / 2));
}

/** What a caller without identities is told. It says nothing of why: "writ agent why" does, to who may know. */
export function failureOf(why: 'refused' | 'unavailable' | 'gone'): WritError {
  if (why === 'unavailable') {
    return new WritError('unavailable', 'The identities of this process cannot be found out now.', {
      remedy: 'Try again in a moment.',
    });
  }
  return new WritError('denied', 'no identity issued', {
    remedy: 'Whoever runs this machine sees why with "writ agent why PID".',
  });
}
