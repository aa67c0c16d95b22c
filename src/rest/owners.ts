import type { Caller } from '../base/access.ts';
import type { Page, PageRequest } from '../db/cursor.ts';
import type { Owner } from '../registry/owner.ts';
import type * as wire from '../wire/owner.ts';
import { owningTeam, owningTeamPage } from '../wire/owner.ts';
import { pageQuery } from '../wire/page.ts';
import { byTeam } from '../wire/path.ts';
import { type Operation, operation, type WriteOptions } from './operation.ts';
import { pageAnswer, timeText } from './render.ts';

/** What the routes under `/v1/owners` need. Each asks policy. */
export interface Owners {
  list(caller: Caller, page: PageRequest): Promise<Page<Owner>>;
  change(
    caller: Caller,
    target: { readonly team: string; readonly status: Owner['status'] },
    options: WriteOptions,
  ): Promise<Owner>;
}

export function ownerOperations(owners: Owners): Operation[] {
  const change = (verb: 'remove' | 'restore', status: Owner['status'], summary: string): Operation =>
    operation({
      id: `${verb}Owner`,
      method: 'POST',
      path: `/v1/owners/{team}/${verb}`,
      access: 'caller',
      action: `owner.${verb}`,
      summary,
      params: byTeam,
      answer: owningTeam,
      example: { answer: { ...EXAMPLE, status } },
      handle: async ({ caller, params: { team }, idempotency }) =>
        ownerAnswer(await owners.change(caller, { team, status }, { idempotency })),
    });
  return [
    operation({
      id: 'listOwners',
      method: 'GET',
      path: '/v1/owners',
      access: 'caller',
      action: 'owner.read',
      summary: 'Teams that answer for agents and services.',
      query: pageQuery,
      answer: owningTeamPage,
      example: { answer: { items: [EXAMPLE] } },
      handle: async ({ caller, query }) => pageAnswer(await owners.list(caller, query), ownerAnswer),
    }),
    change(
      'remove',
      'gone',
      'Says that a team is gone: nothing is issued for its agents until another takes them over.',
    ),
    change('restore', 'active', 'Says that a team is back.'),
  ];
}

function ownerAnswer({ team, status, createdAt, updatedAt }: Owner): wire.OwningTeam {
  return { team, status, created_at: timeText(createdAt), updated_at: timeText(updatedAt) };
}

const EXAMPLE: wire.OwningTeam = {
  team: 'payments',
  status: 'active',
  created_at: '2026-11-22T14:03:22.000Z',
  updated_at: '2026-11-22T14:03:22.000Z',
};
