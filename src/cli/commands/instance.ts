import { type Item, itemOf, kindOf, textOf, type WithApi } from '../api.ts';
import { type Command, EXIT, type Input } from '../command.ts';
import { confirmed } from '../confirm.ts';
import { needed } from '../input.ts';
import { listCommand } from '../listing.ts';
import { showCommand } from '../showing.ts';
import { list, relative } from '../table.ts';
import { END_FLAGS, end, wouldEnd } from './ending.ts';

const ID = { name: 'id', summary: 'id of the instance', required: true } as const;

/** `writ instance …`: the running copies of an agent or service. */
export function instanceCommands(withApi: WithApi, now: () => number): readonly Command[] {
  const at = (input: Input): string => `/v1/instances/${encodeURIComponent(needed(input, 'id'))}`;
  return [
    listCommand(withApi, {
      path: 'instance list',
      summary: 'List the instances of an agent or service',
      parameters: [{ name: 'name', summary: 'name of the agent or service', required: true }],
      flags: [
        {
          name: 'status',
          value: 'status',
          summary: 'in this status only',
          choices: ['active', 'quarantined', 'stopped'],
        },
      ],
      request: async (input, api) => {
        const name = needed(input, 'name');
        const path = `/v1/${await kindOf(api, name)}s/${encodeURIComponent(name)}/instances`;
        return { path, query: { status: input.flag('status') } };
      },
      columns: [
        ['INSTANCE', (item) => textOf(item, 'id')],
        ['STATUS', (item) => textOf(item, 'status')],
        ['ENROLLED', (item) => relative(Date.parse(textOf(item, 'enrolled_at')), now())],
        ['LATEST CERTIFICATE', (item) => textOf(item, 'latest_serial')],
      ],
      empty: 'No instances. Let one in with "writ token create".',
    }),
    showCommand(withApi, {
      path: 'instance show',
      summary: 'Show an instance',
      ...{ parameter: ID, at, text: describe },
    }),
    {
      path: 'instance stop',
      summary: 'Stop an instance for good, with all that it let in: certificates are revoked, ids burnt',
      parameters: [ID],
      flags: END_FLAGS,
      changes: true,
      run: (input, terminal) =>
        withApi(input, async (api) => {
          // What is asked about is named by its agent: nobody types an id.
          const instance = await api.get(at(input));
          const run = { input, terminal, api };
          if (input.dryRun) {
            return wouldEnd(run, { verb: 'stop', kind: 'instance', item: instance, text: describe(instance) });
          }
          const name = textOf(instance, 'name');
          const what = `This stops one instance of ${name} and all that it let in.`;
          if (!(await confirmed(input, terminal, { what, name }))) return EXIT.failed;
          const subject = `instance:${textOf(instance, 'id')}`;
          const answer = await end(run, { route: `${at(input)}/stop`, subject });
          terminal.result(answer, `${textOf(answer, 'id')} (${name}) is stopped for good.`);
          return EXIT.ok;
        }),
    },
  ];
}

/** What was attested, a line for each fact. */
function attestedLines(evidence: Item): [string, string][] {
  const facts = Object.entries(itemOf(evidence, 'facts') as Readonly<Record<string, readonly string[]>>);
  return [
    ['attestor', textOf(evidence, 'attestor')],
    ['registration entry', textOf(evidence, 'entry')],
    ...facts.map(([name, values]): [string, string] => ['fact', values.map((value) => `${name}=${value}`).join(' ')]),
  ];
}

function describe(instance: Item): string {
  const labels = Object.entries(itemOf(instance, 'labels')).map(([key, value]) => `${key}=${String(value)}`);
  return list([
    ['instance', textOf(instance, 'id')],
    ['of', textOf(instance, 'name')],
    ['status', textOf(instance, 'status')],
    ['enrolled', textOf(instance, 'enrolled_at')],
    ['by', [textOf(instance, 'attestation'), textOf(instance, 'reference')].filter(Boolean).join(' ')],
    ['let in by', textOf(instance, 'parent')],
    ['workflow', textOf(instance, 'workflow')],
    ['scopes', (instance['scopes'] as string[] | undefined)?.join(', ')],
    ['labels', labels.join(', ')],
    ['first certificate', textOf(instance, 'first_serial')],
    ['latest certificate', textOf(instance, 'latest_serial')],
    ['evidence ends', textOf(instance, 'attested_until')],
    ['stopped', textOf(instance, 'stopped_at')],
    ...attestedLines(itemOf(instance, 'evidence')),
  ]);
}
