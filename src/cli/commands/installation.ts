import { type Item, itemsOf, textOf, type WithApi } from '../api.ts';
import { type Command, EXIT } from '../command.ts';
import { needed } from '../input.ts';
import { listCommand } from '../listing.ts';
import { list, relative, table } from '../table.ts';
import { readInput } from '../values.ts';

/** Commands that ask about the installation itself: authorities, profiles, policy, operators, and who asks. */
export function installationCommands(withApi: WithApi, now: () => number): readonly Command[] {
  return [
    ...authorityCommands(withApi, now),
    ...ruleCommands(withApi),
    listCommand(withApi, {
      path: 'operator list',
      summary: 'List the operators',
      whole: true,
      request: () => ({ path: '/v1/operators' }),
      columns: [
        ['NAME', (item) => textOf(item, 'name')],
        ['STATUS', (item) => textOf(item, 'status')],
        ['ADDED', (item) => relative(Date.parse(textOf(item, 'created_at')), now())],
        ['CERTIFICATES', (item) => String((item['serials'] as string[] | undefined)?.length ?? 0)],
        ['PERSON', (item) => textOf(item, 'person')],
      ],
      empty: 'No operators.',
    }),
    listCommand(withApi, {
      path: 'group list',
      summary: 'List the groups whose people are asked for approvals',
      whole: true,
      request: () => ({ path: '/v1/groups' }),
      columns: [
        ['GROUP', (item) => textOf(item, 'name')],
        [
          'PEOPLE',
          (item) =>
            itemsOf(item, 'members')
              .map((member) => textOf(member, 'person'))
              .join(', '),
        ],
      ],
      empty: 'No groups.',
    }),
    {
      path: 'whoami',
      summary: 'Say who the server takes you for',
      async run(input, terminal) {
        const { caller, server } = await withApi(input, async (api) => ({
          caller: await api.get('/v1/whoami'),
          server: api.server,
        }));
        terminal.result({ ...caller, server }, describe({ ...caller, server }));
        return EXIT.ok;
      },
    },
  ];
}

function authorityCommands(withApi: WithApi, now: () => number): readonly Command[] {
  return [
    listCommand(withApi, {
      path: 'ca list',
      summary: 'List the authorities',
      whole: true,
      request: () => ({ path: '/v1/authorities' }),
      columns: [
        ['ID', (item) => textOf(item, 'id')],
        ['KIND', (item) => textOf(item, 'kind')],
        ['STATE', (item) => textOf(item, 'state')],
        ['ALGORITHM', (item) => textOf(item, 'algorithm')],
        ['KEY', (item) => textOf(item, 'key')],
        ['EXPIRES', (item) => relative(Date.parse(textOf(item, 'not_after')), now())],
      ],
      empty: 'No authorities.',
    }),
    {
      path: 'ca show',
      summary: 'Show an authority',
      parameters: [{ name: 'id', summary: 'id of the authority', required: true }],
      flags: [{ name: 'pem', summary: 'print its certificate only' }],
      async run(input, terminal) {
        const path = `/v1/authorities/${encodeURIComponent(needed(input, 'id'))}`;
        const { certificate, ...rest } = await withApi(input, (api) => api.get(path));
        const text = input.has('pem') ? String(certificate) : describe(rest);
        terminal.result({ ...rest, certificate }, text);
        return EXIT.ok;
      },
    },
  ];
}

function ruleCommands(withApi: WithApi): readonly Command[] {
  return [
    listCommand(withApi, {
      path: 'profile list',
      summary: 'List the certificate profiles',
      whole: true,
      request: () => ({ path: '/v1/profiles' }),
      columns: [
        ['NAME', (item) => textOf(item, 'name')],
        ['FOR', (item) => (item['subjects'] as string[] | undefined)?.join(', ') ?? ''],
        ['LIFETIME', (item) => lifetimeOf(item)],
        ['VERSION', (item) => textOf(item, 'version')],
      ],
      empty: 'No profiles.',
    }),
    {
      path: 'profile show',
      summary: 'Show a certificate profile',
      parameters: [{ name: 'name', summary: 'name of the profile', required: true }],
      async run(input, terminal) {
        const path = `/v1/profiles/${encodeURIComponent(needed(input, 'name'))}`;
        const profile = await withApi(input, (api) => api.get(path));
        terminal.result(profile, JSON.stringify(profile, undefined, 2));
        return EXIT.ok;
      },
    },
    {
      path: 'policy show',
      summary: 'Print the policy set in force',
      async run(input, terminal) {
        const policy = await withApi(input, (api) => api.get('/v1/policy'));
        terminal.result(policy, textOf(policy, 'text'));
        return EXIT.ok;
      },
    },
    {
      path: 'policy check',
      summary: 'Check a policy set without publishing it',
      details: 'Exit code 7 when it has errors or warnings.',
      parameters: [{ name: 'file', summary: 'Cedar policies; - for standard input', required: true }],
      async run(input, terminal) {
        const body = { text: readInput(needed(input, 'file'), 'file') };
        const answer = await withApi(input, (api) => api.post('/v1/policy/check', body));
        const findings = [...itemsOf(answer, 'errors'), ...itemsOf(answer, 'warnings')];
        const rows = findings.map((finding) => [
          textOf(finding, 'severity'),
          `${textOf(finding, 'line')}:${textOf(finding, 'column')}`,
          textOf(finding, 'message'),
        ]);
        const options = { empty: 'No errors and no warnings.', colour: terminal.colour };
        terminal.result(answer, table(['SEVERITY', 'LINE', 'MESSAGE'], rows, options));
        return findings.length === 0 ? EXIT.ok : EXIT.findings;
      },
    },
  ];
}

function lifetimeOf(profile: Item): string {
  const { default: usual, least, most } = profile['lifetime'] as Record<'default' | 'least' | 'most', number>;
  return `${span(usual)} (${span(least)} to ${span(most)})`;
}

function span(seconds: number): string {
  if (seconds % 86_400 === 0) return `${seconds / 86_400} d`;
  return seconds % 3600 === 0 ? `${seconds / 3600} h` : `${Math.round(seconds / 60)} min`;
}

function describe(item: Item): string {
  return list(Object.keys(item).map((key) => [key.replaceAll('_', ' '), textOf(item, key)] as const));
}
