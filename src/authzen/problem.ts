import { type ErrorCode, isWritError, type ProblemType, WritError } from '../base/error.ts';

type ProfileProblem =
  | 'not_requestable'
  | 'expired_denial'
  | 'invalid_denial_binding'
  | 'duplicate_request'
  | 'unknown_task'
  | 'invalid_task_state';

interface Said {
  readonly status: number;
  readonly title: string;
  /** Ours for it. */
  readonly code: ErrorCode;
}

/** The problem types of the Access Request and Approval Profile ("Error Responses"). */
const TYPES: Readonly<Record<ProfileProblem, Said>> = {
  not_requestable: { status: 400, title: 'Access is not requestable', code: 'bad_request' },
  expired_denial: { status: 410, title: 'The requestable denial has expired', code: 'expired' },
  invalid_denial_binding: { status: 400, title: 'The request is not bound to the denial', code: 'bad_request' },
  duplicate_request: { status: 409, title: 'The key was used with another request', code: 'idempotency_mismatch' },
  unknown_task: { status: 404, title: 'The task is unknown', code: 'not_found' },
  invalid_task_state: { status: 409, title: 'The task is in another state', code: 'conflict' },
};

function typeOf(name: ProfileProblem): ProblemType {
  const { status, title } = TYPES[name];
  return { type: `urn:openid:authzen:access-request:error:${name}`, title, status };
}

export function refused(name: ProfileProblem, message: string, remedy: string): WritError {
  return new WritError(TYPES[name].code, message, { remedy, as: typeOf(name) });
}

/** What flows throw, as the profile has it. */
const SAID: readonly (readonly [ErrorCode, ProfileProblem])[] = [
  ['idempotency_mismatch', 'duplicate_request'],
  ['not_found', 'unknown_task'],
  ['conflict', 'invalid_task_state'],
  // Fewer people than it takes could agree.
  ['needs_approval', 'not_requestable'],
];

/** Has what a flow throws be said with the problem types of the profile, where it has one. */
export async function inProfile<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    for (const [thrown, name] of SAID) {
      if (!isWritError(error, thrown) || error.as !== undefined) continue;
      const { code, message, field, remedy, reasons } = error;
      throw new WritError(code, message, {
        ...{ reasons, cause: error, as: typeOf(name) },
        ...(field === undefined ? {} : { field }),
        ...(remedy === undefined ? {} : { remedy }),
      });
    }
    throw error;
  }
}
