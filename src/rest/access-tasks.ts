import type { Caller } from '../base/access.ts';
import {
  type AccessMetadata,
  type AccessSubmission,
  type AccessTaskAnswer,
  accessMetadata,
  accessSubmission,
  accessTask,
  cancelAccessTask,
  type DecideAccessTask,
  decideAccessTask,
} from '../wire/access-task.ts';
import { byId } from '../wire/path.ts';
import { type Operation, operation, type WriteOptions } from './operation.ts';

/** Requests for approval in the words of AuthZEN (`authzen/task.ts`): what the routes under `/access/v1/requests` need. */
export interface AccessTasks {
  metadata(): AccessMetadata;
  submit(caller: Caller, submission: AccessSubmission, options: WriteOptions): Promise<AccessTaskAnswer>;
  decide(
    caller: Caller,
    target: { readonly id: string; readonly decision: 'approved' | 'denied' },
  ): Promise<AccessTaskAnswer>;
  show(caller: Caller, id: string): Promise<AccessTaskAnswer>;
  cancel(caller: Caller, id: string): Promise<AccessTaskAnswer>;
}

export function accessTaskOperations(tasks: AccessTasks): Operation[] {
  return [
    operation({
      id: 'getAccessMetadata',
      method: 'GET',
      path: '/.well-known/authzen-configuration',
      access: 'public',
      summary: 'Where access requests of AuthZEN go.',
      answer: accessMetadata,
      cache: 'public, max-age=3600',
      example: { answer: METADATA },
      handle: () => tasks.metadata(),
    }),
    operation({
      id: 'submitAccessRequest',
      method: 'POST',
      path: '/access/v1/requests',
      access: 'caller',
      summary: 'Asks for the approval that a refusal names, as the AuthZEN Access Request and Approval Profile has it.',
      body: accessSubmission,
      bodyLimit: 262_144,
      status: 202,
      answer: accessTask,
      example: { body: SUBMISSION, answer: PENDING },
      handle: ({ caller, body, idempotency }) => tasks.submit(caller, body, { idempotency }),
    }),
    operation({
      id: 'decideAccessTask',
      method: 'POST',
      path: '/access/v1/requests/{id}/decision',
      access: 'caller',
      action: 'approval.decide',
      summary: 'Agrees or disagrees to a task. The profile leaves this open; it is our own.',
      params: byId,
      body: decideAccessTask,
      answer: accessTask,
      example: { body: DECISION, answer: EXAMPLE },
      handle: ({ caller, params: { id }, body: { decision } }) => tasks.decide(caller, { id, decision }),
    }),
    operation({
      id: 'getAccessTask',
      method: 'GET',
      path: '/access/v1/requests/{id}',
      access: 'caller',
      action: 'approval.read',
      summary: 'An approval as a task of the AuthZEN Access Request and Approval Profile.',
      params: byId,
      answer: accessTask,
      example: { answer: EXAMPLE },
      handle: ({ caller, params: { id } }) => tasks.show(caller, id),
    }),
    operation({
      id: 'cancelAccessTask',
      method: 'POST',
      path: '/access/v1/requests/{id}/cancel',
      access: 'caller',
      summary: 'Withdraws an approval, as that profile has it. For who asked alone.',
      params: byId,
      body: cancelAccessTask,
      answer: accessTask,
      example: { body: { reason: 'no_longer_needed' }, answer: EXAMPLE },
      handle: ({ caller, params: { id } }) => tasks.cancel(caller, id),
    }),
  ];
}

const ENDPOINT = 'https://writ.example.com:8443/access/v1/requests/01kaj8x5y7zq4m2n6p8r0t2v4w';

const EXAMPLE: AccessTaskAnswer = {
  task: {
    id: '01kaj8x5y7zq4m2n6p8r0t2v4w',
    status: 'approved',
    status_endpoint: ENDPOINT,
    expires_at: '2026-11-22T15:03:22.000Z',
    links: { cancel: `${ENDPOINT}/cancel` },
  },
  result: {
    mode: 'reevaluate',
    approval: { id: '01kaj8x5y7zq4m2n6p8r0t2v4w', approved_until: '2026-11-22T15:03:22.000Z' },
  },
};

const DECISION: DecideAccessTask = { decision: 'approved' };

const PENDING: AccessTaskAnswer = {
  task: {
    id: '01kaj8x5y7zq4m2n6p8r0t2v4w',
    status: 'pending',
    status_endpoint: ENDPOINT,
    expires_at: '2026-11-22T15:03:22.000Z',
    links: { cancel: `${ENDPOINT}/cancel` },
  },
};

const SUBMISSION: AccessSubmission = {
  subject: { type: 'operator', id: 'spiffe://agents.example.com/operator/ada' },
  resource: { type: 'Installation', id: 'writ' },
  action: { name: 'authority.rotate' },
  context: { business_justification: 'yearly exercise' },
  denial: {
    evaluation_id: '01kaj8x5y7zq4m2n6p8r0t2v4x',
    expires_at: '2026-11-22T14:13:22.000Z',
    binding_token: 'q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQ',
  },
};

const METADATA: AccessMetadata = {
  policy_decision_point: 'https://writ.example.com:8443',
  access_request_endpoint: 'https://writ.example.com:8443/access/v1/requests',
  capabilities: ['urn:openid:authzen:capability:access-request'],
};
