import type { Caller } from '../base/access.ts';
import type { Group, GroupChange } from '../registry/group.ts';
import type * as wire from '../wire/group.ts';
import { byMember, group, groupList } from '../wire/group.ts';
import { type Operation, operation, type WriteOptions } from './operation.ts';
import { timeText } from './render.ts';

/** What the routes under `/v1/groups` need. Each asks policy. */
export interface Groups {
  list(caller: Caller): Promise<readonly Group[]>;
  change(caller: Caller, change: GroupChange, options: WriteOptions): Promise<Group>;
}

export function groupOperations(groups: Groups): Operation[] {
  const change = (method: 'PUT' | 'DELETE', what: 'add' | 'remove', summary: string): Operation =>
    operation({
      id: what === 'add' ? 'addGroupMember' : 'removeGroupMember',
      method,
      path: '/v1/groups/{group}/members/{person}',
      access: 'caller',
      action: 'group.change',
      summary,
      params: byMember,
      answer: group,
      example: { answer: EXAMPLE },
      handle: async ({ caller, params, idempotency }) =>
        groupAnswer(await groups.change(caller, { ...params, change: what }, { idempotency })),
    });
  return [
    operation({
      id: 'listGroups',
      method: 'GET',
      path: '/v1/groups',
      access: 'caller',
      action: 'group.read',
      summary: 'Groups whose people may agree to something together.',
      answer: groupList,
      example: { answer: { items: [EXAMPLE] } },
      handle: async ({ caller }) => ({ items: (await groups.list(caller)).map(groupAnswer) }),
    }),
    change('PUT', 'add', 'Takes a person into a group.'),
    change('DELETE', 'remove', 'Takes a person out of a group: from then on what they agreed to there counts no more.'),
  ];
}

function groupAnswer({ name, members }: Group): wire.Group {
  return {
    name,
    members: members.map(({ person, operators, addedAt }) => ({ person, operators, added_at: timeText(addedAt) })),
  };
}

const EXAMPLE: wire.Group = {
  name: 'ca-officers',
  members: [{ person: 'ada', operators: ['ada'], added_at: '2026-11-22T14:03:22.000Z' }],
};
