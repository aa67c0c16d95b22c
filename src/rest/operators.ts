import type { Caller } from '../base/access.ts';
import type { Operator } from '../registry/operator.ts';
import type * as wire from '../wire/operator.ts';
import { operatorList } from '../wire/operator.ts';
import { type Operation, operation } from './operation.ts';
import { givenTime, hexText, timeText } from './render.ts';

/** What the routes under `/v1/operators` need. It asks policy. */
export interface Operators {
  list(caller: Caller): Promise<readonly Operator[]>;
}

export function operatorOperations(operators: Operators): Operation[] {
  return [
    operation({
      id: 'listOperators',
      method: 'GET',
      path: '/v1/operators',
      access: 'caller',
      action: 'operator.read',
      summary: 'Who runs the authority. Operators come and go by commands on the server’s machine.',
      answer: operatorList,
      example: { answer: { items: [EXAMPLE] } },
      handle: async ({ caller }) => ({ items: (await operators.list(caller)).map(operatorAnswer) }),
    }),
  ];
}

function operatorAnswer({ name, status, createdAt, removedAt, serials }: Operator): wire.Operator {
  return {
    name,
    status,
    created_at: timeText(createdAt),
    ...givenTime('removed_at', removedAt),
    serials: serials.map(hexText),
  };
}

const EXAMPLE: wire.Operator = {
  name: 'ada',
  status: 'active',
  created_at: '2026-11-22T14:03:22.000Z',
  serials: ['019ac9f0d30000278d00a1b2c3d4e5f607182930'],
};
