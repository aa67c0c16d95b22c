import type { Status, StatusName } from '../grpc/status.ts';
import type { Door } from '../http/door.ts';

/** What each status of HTTP is in gRPC, where it was we who gave it. */
const CODES: Readonly<Record<number, StatusName>> = {
  400: 'invalid_argument',
  401: 'unauthenticated',
  403: 'permission_denied',
  404: 'not_found',
  408: 'deadline_exceeded',
  409: 'aborted',
  413: 'resource_exhausted',
  422: 'invalid_argument',
  429: 'resource_exhausted',
  503: 'unavailable',
};

/**
 * What the caller of a method is told of an error: what a request would be, which hides the same and writes the same to
 * the log, as a status with code, detail and remedy in its message.
 */
export function grpcFailure(error: unknown, door: Door): Status {
  const { status, body } = door.problem(error);
  const { code, detail, remedy } = JSON.parse(String(body)) as Record<string, string | undefined>;
  const message = [code === undefined ? undefined : `${code}:`, detail, remedy].filter((part) => part !== undefined);
  return { code: CODES[status] ?? 'internal', message: message.join(' ') };
}
