import type { Caller } from '../base/access.ts';
import { type AccessTaskAnswer, accessTask, cancelAccessTask } from '../wire/access-task.ts';
import { byId } from '../wire/path.ts';
import { type Operation, operation } from './operation.ts';

/** Requests for approval in the words of AuthZEN (`authzen/task.ts`): what the routes under `/access/v1/requests` need. */
export interface AccessTasks {
  show(caller: Caller, id: string): Promise<AccessTaskAnswer>;
  cancel(caller: Caller, id: string): Promise<AccessTaskAnswer>;
}

export function accessTaskOperations(tasks: AccessTasks): Operation[] {
  return [
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
