import { type Item, type OpenApi, textOf } from '../api.ts';
import { type Command, EXIT } from '../command.ts';
import { listCommand } from '../listing.ts';
import { needed } from '../program.ts';
import { list, relative } from '../table.ts';
import { CAUSES } from './causes.ts';

/** `writ instance …`: the running copies of an agent or service. */
export function instanceCommands(open: OpenApi, now: () => number): readonly Command[] {
  return [
    listCommand(open, {
      path: 'instance list',
      summary: 'List the instances of an agent or service',
      parameters: [{ name: 'name', summary: 'name of the agent or service', required: true }],
      flags: [{ name: 'service', summary: 'the name is that of a service' }],
      request: (input) => ({
        path: `/v1/${input.has('service') ? 'services' : 'agents'}/${encodeURIComponent(needed(input, 'name'))}/instances`,
        query: {},
      }),
      columns: [
        ['INSTANCE', (item) => textOf(item, 'id')],
        ['STATUS', (item) => textOf(item, 'status')],
        ['ENROLLED', (item) => relative(Date.parse(textOf(item, 'enrolled_at')), now())],
        ['LATEST CERTIFICATE', (item) => textOf(item, 'latest_serial')],
      ],
      empty: 'No instances yet. Let one in with "writ token create".',
    }),
    {
      path: 'instance show',
      summary: 'Show an instance',
      parameters: [{ name: 'id', summary: 'id of the instance', required: true }],
      async run(input, terminal) {
        const instance = await (await open(input)).get(`/v1/instances/${encodeURIComponent(needed(input, 'id'))}`);
        terminal.result(instance, describe(instance));
        return EXIT.ok;
      },
    },
    {
      path: 'instance stop',
      summary: 'Stop an instance for good: its certificates are revoked, its id is burnt',
      parameters: [{ name: 'id', summary: 'id of the instance', required: true }],
      flags: [{ name: 'cause', value: 'cause', summary: 'why', choices: CAUSES, default: 'decommissioned' }],
      changes: true,
      async run(input, terminal) {
        const api = await open(input);
        const path = `/v1/instances/${encodeURIComponent(needed(input, 'id'))}`;
        if (input.dryRun) {
          const instance = await api.get(path);
          terminal.result({ would: 'stop', instance }, `Would stop for good:\n${describe(instance)}`);
          return EXIT.ok;
        }
        const answer = await api.post(`${path}/stop`, { cause: input.flag('cause')! });
        terminal.result(answer, `${needed(input, 'id')} is stopped for good.`);
        return EXIT.ok;
      },
    },
  ];
}

function describe(instance: Item): string {
  return list(
    Object.keys(instance)
      .filter((key) => typeof instance[key] !== 'object')
      .map((key) => [key.replaceAll('_', ' '), textOf(instance, key)] as const),
  );
}
