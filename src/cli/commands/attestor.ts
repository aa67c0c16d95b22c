import { parseJsonObject } from '../../wire/json.ts';
import { type Item, textOf, type WithApi } from '../api.ts';
import { type Command, EXIT, type Input } from '../command.ts';
import { needed } from '../input.ts';
import { listCommand } from '../listing.ts';
import { showCommand } from '../showing.ts';
import { list } from '../table.ts';
import { takeBackCommand } from '../take-back.ts';
import { readInput } from '../values.ts';
import { parametersOf } from './attestor-settings.ts';

const NAME = { name: 'name', summary: 'name of the attestor, see "writ attestor list"', required: true } as const;

/** `writ attestor …`: sources of evidence by which newcomers are let in. */
export function attestorCommands(withApi: WithApi): readonly Command[] {
  const at = (input: Input): string => `/v1/attestors/${encodeURIComponent(needed(input, 'name'))}`;
  return [
    {
      path: 'attestor add',
      summary: 'Configure a source of evidence',
      details:
        'It lets nobody in before a registration entry names it ("writ entry create"). The parameters of each kind are in ' +
        'docs/ATTESTATION.md.',
      parameters: [{ name: 'name', summary: 'what it is to be called', required: true }],
      flags: [
        {
          name: 'kind',
          value: 'kind',
          summary: 'what it vouches with',
          choices: ['oidc', 'x509pop', 'k8s', 'aws', 'gcp', 'azure', 'tpm', 'cosign'],
          required: true,
        },
        { name: 'set', value: 'name=value', summary: 'a parameter; @FILE for what is in a file', many: true },
        { name: 'claim', value: 'name=value', summary: 'what a claim of a token must be, for oidc', many: true },
      ],
      examples: [
        {
          line: 'writ attestor add github --kind oidc --set issuer=https://token.actions.githubusercontent.com --set audience=agents.example.com',
          does: 'believes tokens of GitHub Actions that are made out to agents.example.com',
        },
        {
          line: 'writ attestor add factory --kind x509pop --set roots=@factory-root.pem',
          does: 'believes certificates of the factory, with proof of their keys',
        },
      ],
      changes: true,
      run: (input, terminal) =>
        withApi(input, async (api) => {
          const parameters = parametersOf(input.flags('set'), input.flags('claim'));
          const body = { name: needed(input, 'name'), settings: { kind: input.flag('kind'), parameters } };
          if (input.dryRun) {
            terminal.result({ would: 'add', body }, `Would add an attestor:\n${JSON.stringify(body, undefined, 2)}`);
            return EXIT.ok;
          }
          const attestor = await api.post('/v1/attestors', body);
          terminal.result(attestor, describe(attestor));
          terminal.say(
            `It lets nobody in yet: writ entry create NAME --attestor ${textOf(attestor, 'name')} --match …`,
          );
          return EXIT.ok;
        }),
    },
    listCommand(withApi, {
      path: 'attestor list',
      summary: 'List the sources of evidence',
      request: () => ({ path: '/v1/attestors' }),
      columns: [
        ['NAME', (item) => textOf(item, 'name')],
        ['KIND', (item) => textOf(settingsOf(item), 'kind')],
        ['ENTRIES', (item) => textOf(item, 'entries')],
        ['ADDED', (item) => textOf(item, 'created_at')],
        ['BY', (item) => textOf(item, 'created_by')],
      ],
      empty: 'No attestors. Newcomers need join tokens, until one is added with "writ attestor add".',
    }),
    showCommand(withApi, {
      path: 'attestor show',
      summary: 'Show a source of evidence with its parameters',
      ...{ parameter: NAME, at, text: describe },
    }),
    {
      path: 'attestor check',
      summary: 'Say what evidence would come to, and what each entry lacks of it',
      details:
        'Lets nobody in and uses nothing up. Of evidence that was kept it gives the digest that the ledger has as ' +
        'evidence_sha256.',
      parameters: [
        NAME,
        {
          name: 'file',
          summary: 'the token or document, or the evidence as JSON; - for standard input',
          required: true,
        },
      ],
      examples: [{ line: 'writ attestor check github token.jwt', does: 'says why a token lets nobody in' }],
      run: (input, terminal) =>
        withApi(input, async (api) => {
          const { settings } = await api.get(at(input));
          const evidence = evidenceIn(
            readInput(needed(input, 'file'), 'file'),
            needed(input, 'name'),
            settings as Item,
          );
          const checked = await api.post(`${at(input)}/check`, { evidence });
          terminal.result(checked, checkedText(checked));
          return EXIT.ok;
        }),
    },
    takeBackCommand(withApi, {
      path: 'attestor remove',
      summary: 'Believe a source of evidence no more',
      details: 'Refused while registration entries name it. Instances that it let in stay; stop them with "writ stop".',
      ...{ parameter: NAME, at, text: describe },
      act: (api, route) => api.remove(route),
      done: (attestor) => `${textOf(attestor, 'name')} is removed; nobody is let in on its evidence any more.`,
    }),
  ];
}

/** A file that is no JSON is the token or document that the kind has. */
function evidenceIn(text: string, attestor: string, { kind }: Item): Item {
  const trimmed = text.trim();
  if (trimmed.startsWith('{')) return parseJsonObject(Buffer.from(trimmed, 'utf8'));
  const member = kind === 'aws' || kind === 'azure' ? 'document' : 'token';
  return { kind, attestor, [member]: member === 'token' ? trimmed : trimmed.replaceAll(/\s/g, '') };
}

function checkedText(checked: Item): string {
  const fault = textOf(checked, 'fault');
  const facts = Object.entries((checked['facts'] ?? {}) as Readonly<Record<string, readonly string[]>>);
  const entries = (checked['entries'] ?? []) as readonly Item[];
  return list([
    ['believed', fault === '' ? 'yes' : `no: ${fault}`],
    ['used', checked['spent'] === true ? 'yes, it lets nobody in any more' : ''],
    ['sha256', textOf(checked, 'sha256')],
    ...facts.flatMap(([name, values]) => values.map((value): [string, string] => ['fact', `${name}=${value}`])),
    ...entries.map((entry): [string, string] => {
      const missing = (entry['missing'] ?? []) as readonly string[];
      const said = missing.length === 0 ? 'lets in' : `lacks ${missing.join(' ')}`;
      return ['entry', `${textOf(entry, 'id')} ${textOf(entry, 'name')}: ${said}`];
    }),
  ]);
}

function settingsOf(attestor: Item): Item {
  return (attestor['settings'] ?? {}) as Item;
}

function describe(attestor: Item): string {
  const settings = settingsOf(attestor);
  const parameters = Object.entries((settings['parameters'] ?? {}) as Item).map(([name, value]): [string, string] => [
    name,
    typeof value === 'object' ? JSON.stringify(value) : String(value),
  ]);
  return list([
    ['name', textOf(attestor, 'name')],
    ['kind', textOf(settings, 'kind')],
    ...parameters,
    ['entries', textOf(attestor, 'entries')],
    ['added by', textOf(attestor, 'created_by')],
    ['added', textOf(attestor, 'created_at')],
  ]);
}
