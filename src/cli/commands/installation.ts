import { type Item, itemsOf, type OpenApi, textOf } from '../api.ts';
import { type Command, EXIT } from '../command.ts';
import { readInput } from '../input.ts';
import { listCommand } from '../listing.ts';
import { needed } from '../program.ts';
import { list, relative, table } from '../table.ts';

/** Commands that read the installation itself: authorities, profiles, policy, operators, ledger. */
export function installationCommands(open: OpenApi, now: () => number): readonly Command[] {
  return [
    listCommand(open, {
      path: 'ca list',
      summary: 'List the authorities',
      flags: [],
      whole: true,
      request: () => ({ path: '/v1/authorities', query: {} }),
      columns: [
        ['ID', (item) => textOf(item, 'id')],
        ['KIND', (item) => textOf(item, 'kind')],
        ['STATE', (item) => textOf(item, 'state')],
        ['ALGORITHM', (item) => textOf(item, 'algorithm')],
        ['EXPIRES', (item) => relative(Date.parse(textOf(item, 'not_after')), now())],
      ],
      empty: 'No authorities.',
    }),
    listCommand(open, {
      path: 'profile list',
      summary: 'List the certificate profiles',
      flags: [],
      whole: true,
      request: () => ({ path: '/v1/profiles', query: {} }),
      columns: [
        ['NAME', (item) => textOf(item, 'name')],
        ['FOR', (item) => textOf(item, 'subjects')],
        ['VERSION', (item) => textOf(item, 'version')],
      ],
      empty: 'No profiles.',
    }),
    showCommand(open, 'profile show', 'Show a certificate profile', 'name', (name) => `/v1/profiles/${name}`),
    {
      path: 'policy show',
      summary: 'Print the policy set in force',
      async run(input, terminal) {
        const policy = await (await open(input)).get('/v1/policy');
        terminal.result(policy, textOf(policy, 'text'));
        return EXIT.ok;
      },
    },
    {
      path: 'policy check',
      summary: 'Check a policy set without publishing it',
      parameters: [{ name: 'file', summary: 'Cedar policies; - for standard input', required: true }],
      async run(input, terminal) {
        const body = { text: readInput(needed(input, 'file'), 'file') };
        const answer = await (await open(input)).post('/v1/policy/check', body);
        const findings = [...itemsOf(answer, 'errors'), ...itemsOf(answer, 'warnings')];
        const rows = findings.map((finding) => [
          textOf(finding, 'severity'),
          textOf(finding, 'policy'),
          textOf(finding, 'message'),
        ]);
        terminal.result(answer, table(['SEVERITY', 'AT', 'MESSAGE'], rows, 'No errors and no warnings.'));
        return findings.length === 0 ? EXIT.ok : EXIT.findings;
      },
    },
    listCommand(open, {
      path: 'operator list',
      summary: 'List the operators',
      flags: [],
      whole: true,
      request: () => ({ path: '/v1/operators', query: {} }),
      columns: [
        ['NAME', (item) => textOf(item, 'name')],
        ['STATUS', (item) => textOf(item, 'status')],
        ['ADDED', (item) => relative(Date.parse(textOf(item, 'created_at')), now())],
      ],
      empty: 'No operators.',
    }),
    {
      path: 'ledger receipt',
      summary: 'Print the receipt of a ledger entry, which verifies offline',
      parameters: [{ name: 'index', summary: 'number of the entry', required: true }],
      async run(input, terminal) {
        const path = `/v1/ledger/entries/${encodeURIComponent(needed(input, 'index'))}/receipt`;
        const receipt = await (await open(input)).text(path);
        terminal.result({ receipt }, receipt);
        return EXIT.ok;
      },
    },
    {
      path: 'ledger checkpoint',
      summary: 'Print the latest checkpoint of the ledger',
      async run(input, terminal) {
        const checkpoint = await (await open(input)).text('/ledger/checkpoint');
        terminal.result({ checkpoint }, checkpoint);
        return EXIT.ok;
      },
    },
    {
      path: 'whoami',
      summary: 'Say who the server takes you for',
      async run(input, terminal) {
        const caller = await (await open(input)).get('/v1/whoami');
        terminal.result(caller, describe(caller));
        return EXIT.ok;
      },
    },
  ];
}

function showCommand(
  open: OpenApi,
  path: string,
  summary: string,
  name: string,
  route: (name: string) => string,
): Command {
  return {
    path,
    summary,
    parameters: [{ name, summary: `its ${name}`, required: true }],
    async run(input, terminal) {
      const item = await (await open(input)).get(route(encodeURIComponent(needed(input, name))));
      terminal.result(item, JSON.stringify(item, undefined, 2));
      return EXIT.ok;
    },
  };
}

function describe(item: Item): string {
  return list(Object.keys(item).map((key) => [key.replaceAll('_', ' '), textOf(item, key)] as const));
}
