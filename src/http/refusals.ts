import { WritError } from '../base/error.ts';

/* What a server refuses by itself, before a handler sees the request. */

export class MethodNotAllowed extends WritError {
  readonly allow: string;
  constructor(allow: string) {
    super('method_not_allowed', 'The path does not have this method.', { remedy: `Use one of: ${allow}.` });
    this.allow = allow;
  }
}

export class TooMany extends WritError {
  /** Milliseconds. */
  readonly wait: number;
  constructor(message: string, wait: number) {
    super('rate_limited', message, { remedy: 'Try again after the time in Retry-After.' });
    this.wait = wait;
  }
}

export class TargetTooLong extends WritError {
  constructor() {
    super('too_large', 'The request target is too long.', { remedy: 'Send at most 4096 characters.' });
  }
}

export function notFound(): WritError {
  return new WritError('not_found', 'There is no such path.', {
    remedy: 'GET /v1/openapi.json lists all paths. The API has a listener of its own, for clients with a certificate.',
  });
}

export function unavailable(message: string): WritError {
  return new WritError('unavailable', message, { remedy: 'Try again after the time in Retry-After.' });
}

export function cannotListen(host: string, port: number, cause: NodeJS.ErrnoException): WritError {
  const at = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  const why: Record<string, string> = {
    EADDRINUSE: 'is taken by another program',
    EADDRNOTAVAIL: 'is not an address of this machine',
    EACCES: 'needs more rights than this program has',
  };
  return new WritError('bad_config', `The address ${at} ${why[cause.code ?? ''] ?? 'cannot be listened on'}.`, {
    field: 'listen',
    remedy: 'Stop the other program, or give another host and port.',
    cause,
  });
}
