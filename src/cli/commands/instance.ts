import { type Item, itemOf, kindOf, textOf, type WithApi } from '../api.ts';
import { type Command, EXIT, type Input } from '../command.ts';
import { confirmed, YES_FLAG } from '../confirm.ts';
import { WAIT_FLAG, watchEffect } from '../effect.ts';
import { EVIDENCE_FLAG, evidenceOf } from '../evidence.ts';
import { needed } from '../input.ts';
import { listCommand } from '../listing.ts';
import { list, relative } from '../table.ts';
import { CAUSES } from './causes.ts';
import { falls } from './stop.ts';

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
    {
      path: 'instance show',
      summary: 'Show an instance',
      parameters: [ID],
      async run(input, terminal) {
        const instance = await withApi(input, (api) => api.get(at(input)));
        terminal.result(instance, describe(instance));
        return EXIT.ok;
      },
    },
    {
      path: 'instance stop',
      summary: 'Stop an instance for good, with all that it let in: certificates are revoked, ids burnt',
      parameters: [ID],
      flags: [
        { name: 'cause', value: 'cause', summary: 'why', choices: CAUSES, default: 'decommissioned' },
        EVIDENCE_FLAG,
        WAIT_FLAG,
        YES_FLAG,
      ],
      changes: true,
      run: (input, terminal) =>
        withApi(input, async (api) => {
          // What is asked about is named by its agent: nobody types an id.
          const instance = await api.get(at(input));
          if (input.dryRun) {
            const target = { kind: 'instance', name: textOf(instance, 'id') };
            const planned = await api.post('/v1/stops', { target, cause: input.flag('cause')!, dry_run: true });
            const text = `Would stop for good:\n${describe(instance)}\n\n${falls(planned, false)}`;
            terminal.result({ would: 'stop', instance, falls: itemOf(planned, 'falls') }, text);
            return EXIT.ok;
          }
          const name = textOf(instance, 'name');
          const what = `This stops one instance of ${name} and all that it let in.`;
          if (!(await confirmed(input, terminal, { what, name }))) return EXIT.failed;
          const stopped = await api.post(`${at(input)}/stop`, { cause: input.flag('cause')!, ...evidenceOf(input) });
          const subject = `instance:${textOf(stopped, 'id')}`;
          const answer = await watchEffect(stopped, { input, terminal, api, subject });
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
