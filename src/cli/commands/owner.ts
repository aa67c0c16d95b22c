import { actCommand } from '../act.ts';
import { textOf, type WithApi } from '../api.ts';
import type { Command } from '../command.ts';
import { listCommand } from '../listing.ts';

const TEAM = { name: 'team', summary: 'name of the team' } as const;

const HELD = 'Nothing is issued for them, and what they hold has no force, until somebody answers for them again.';

/** `writ owner …`: the teams that answer for agents and services. */
export function ownerCommands(withApi: WithApi): readonly Command[] {
  return [
    listCommand(withApi, {
      path: 'owner list',
      summary: 'List the teams that answer for agents and services',
      request: () => ({ path: '/v1/owners' }),
      columns: [
        ['TEAM', (item) => textOf(item, 'team')],
        ['STATUS', (item) => textOf(item, 'status')],
        ['SINCE', (item) => textOf(item, 'updated_at')],
      ],
      empty: 'No teams. They come with the agents that they own.',
    }),
    actCommand(withApi, {
      path: 'owner remove',
      summary: 'Say that a team is gone: its agents are quarantined',
      details: `${HELD} Hand each to another team with "writ agent update NAME --team TEAM --sponsor PERSON".`,
      parameter: TEAM,
      route: (team) => `/v1/owners/${team}/remove`,
      would: (team) => `Would quarantine the agents and services of ${team}, with all that they let in.`,
      question: (team) => `Every agent and service of ${team} is quarantined until another team takes it over.`,
      done: (team) => `${team} is gone; its agents and services are quarantined, with all that they let in.`,
      next: (team) => `Next: writ agent list --team ${team}`,
    }),
    actCommand(withApi, {
      path: 'owner restore',
      summary: 'Say that a team is back',
      parameter: TEAM,
      route: (team) => `/v1/owners/${team}/restore`,
      would: (team) => `Would let agents and services of ${team} renew again.`,
      done: (team) => `${team} answers for its agents and services again.`,
    }),
  ];
}
