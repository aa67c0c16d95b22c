import { ERROR_CODES, type ErrorCode, WritError } from '../../base/error.ts';
import type { ErrorMembers } from './messages.ts';

/** An error on its way through a port: what it says, without its stack. */
export function toMembers(error: unknown): ErrorMembers {
  if (error instanceof WritError) {
    return { code: error.code, message: error.message, field: error.field, remedy: error.remedy };
  }
  return {
    code: 'internal',
    message: error instanceof Error ? error.message : 'unknown',
    field: undefined,
    remedy: undefined,
  };
}

export function fromMembers({ code, message, field, remedy }: ErrorMembers): WritError {
  return new WritError(Object.hasOwn(ERROR_CODES, code) ? (code as ErrorCode) : 'internal', message, {
    ...(field === undefined ? {} : { field }),
    ...(remedy === undefined ? {} : { remedy }),
  });
}
