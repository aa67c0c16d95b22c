import { textOf, type WithApi } from '../api.ts';
import { type Command, EXIT } from '../command.ts';
import { confirmed, YES_FLAG } from '../confirm.ts';
import { needed } from '../input.ts';
import { listCommand } from '../listing.ts';

const TEAM = { name: 'team', summary: 'name of the team', required: true } as const;

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
    {
      path: 'owner remove',
      summary: 'Say that a team is gone: nothing more is issued for its agents',
      details:
        'Their certificates stay valid until they expire. Hand the agents to another team with "writ agent update NAME --team TEAM --sponsor PERSON".',
      parameters: [TEAM],
      flags: [YES_FLAG],
      changes: true,
      async run(input, terminal) {
        const team = needed(input, 'team');
        if (input.dryRun) {
          terminal.result({ would: 'remove', team }, `Would issue nothing more for agents and services of ${team}.`);
          return EXIT.ok;
        }
        const what = `No agent or service of ${team} gets another certificate until another team takes it over.`;
        if (!(await confirmed(input, terminal, { what, name: team }))) return EXIT.failed;
        const path = `/v1/owners/${encodeURIComponent(team)}/remove`;
        const answer = await withApi(input, (api) => api.post(path, {}));
        terminal.result(answer, `${team} is gone; nothing more is issued for its agents and services.`);
        terminal.say(`Next: writ agent list --team ${team}`);
        return EXIT.ok;
      },
    },
    {
      path: 'owner restore',
      summary: 'Say that a team is back',
      parameters: [TEAM],
      changes: true,
      async run(input, terminal) {
        const team = needed(input, 'team');
        if (input.dryRun) {
          terminal.result({ would: 'restore', team }, `Would let agents and services of ${team} renew again.`);
          return EXIT.ok;
        }
        const path = `/v1/owners/${encodeURIComponent(team)}/restore`;
        const answer = await withApi(input, (api) => api.post(path, {}));
        terminal.result(answer, `${team} answers for its agents and services again.`);
        return EXIT.ok;
      },
    },
  ];
}
