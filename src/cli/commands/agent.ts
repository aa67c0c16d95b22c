import { type Item, itemOf, textOf, type WithApi } from '../api.ts';
import { type Command, EXIT, type Flag, type Input } from '../command.ts';
import { confirmed } from '../confirm.ts';
import { needed } from '../input.ts';
import { listCommand } from '../listing.ts';
import { showCommand } from '../showing.ts';
import { list } from '../table.ts';
import { parsePairs } from '../values.ts';
import { END_FLAGS, end, wouldEnd } from './ending.ts';

const SPONSOR = 'person who answers for it; may stop it where this is an operator’s name or e-mail address';

const DESCRIPTION: readonly Flag[] = [
  { name: 'environment', value: 'name', summary: 'where it runs, e.g. production' },
  { name: 'profile', value: 'name', summary: 'certificate profile' },
  { name: 'label', value: 'key=value', summary: 'label', many: true },
  { name: 'dns', value: 'name', summary: 'DNS name of its own, which its certificates carry', many: true },
];

const MODEL: readonly Flag[] = [
  { name: 'model', value: 'name', summary: 'model that it runs on' },
  { name: 'model-provider', value: 'name', summary: 'who provides the model; needed with --model' },
  { name: 'model-version', value: 'text', summary: 'version of the model' },
];

/** `writ agent …` and `writ service …`: the same words for both, since both are registered kinds with owners. */
export function agentCommands(withApi: WithApi): readonly Command[] {
  return [...kindCommands(withApi, 'agent'), ...kindCommands(withApi, 'service')];
}

function kindCommands(withApi: WithApi, kind: 'agent' | 'service'): readonly Command[] {
  const root = `/v1/${kind}s`;
  const at = (input: Input): string => `${root}/${encodeURIComponent(needed(input, 'name'))}`;
  const name = { name: 'name', summary: `name of the ${kind}`, required: true };
  const flags = kind === 'agent' ? [...DESCRIPTION, ...MODEL] : DESCRIPTION;
  const article = kind === 'agent' ? 'an agent' : 'a service';
  const example = kind === 'agent' ? 'planner' : 'ledger-db';
  return [
    {
      path: `${kind} register`,
      summary: `Register ${article} and who answers for it`,
      parameters: [name],
      flags: [
        { name: 'team', value: 'name', summary: 'team that owns it', required: true },
        { name: 'sponsor', value: 'person', summary: SPONSOR, required: true },
        { name: 'purpose', value: 'text', summary: 'what it is for', required: true },
        ...flags,
      ],
      examples: [
        {
          line: `writ ${kind} register ${example} --team payments --sponsor ada@example.com --purpose "${kind === 'agent' ? 'plans payments' : 'keeps the books'}"`,
          does: 'registers it; then let an instance in with "writ token create"',
        },
      ],
      changes: true,
      async run(input, terminal) {
        const body = { name: needed(input, 'name'), ...changes(input) };
        if (input.dryRun) {
          const text = JSON.stringify(body, undefined, 2);
          terminal.result({ would: 'register', body }, `Would register ${article}:\n${text}`);
          return EXIT.ok;
        }
        const agent = await withApi(input, (api) => api.post(root, body));
        terminal.result(agent, describe(agent));
        terminal.say(`Next: writ token create ${textOf(agent, 'name')}`);
        return EXIT.ok;
      },
    },
    listCommand(withApi, {
      path: `${kind} list`,
      summary: `List ${kind}s`,
      flags: [
        { name: 'team', value: 'name', summary: 'of this team only' },
        { name: 'environment', value: 'name', summary: 'in this environment only' },
        {
          name: 'status',
          value: 'status',
          summary: 'in this status only',
          choices: ['active', 'quarantined', 'retired'],
        },
        { name: 'label', value: 'key=value', summary: 'with this label only' },
      ],
      request: (input) => ({
        path: root,
        query: {
          owner: input.flag('team'),
          environment: input.flag('environment'),
          status: input.flag('status'),
          label: input.flag('label'),
        },
      }),
      columns: [
        ['NAME', (item) => textOf(item, 'name')],
        ['TEAM', (item) => textOf(itemOf(item, 'owner'), 'team')],
        ['STATUS', (item) => statusOf(item)],
        ['ENVIRONMENT', (item) => textOf(item, 'environment')],
        ['PROFILE', (item) => textOf(item, 'profile')],
        ['PURPOSE', (item) => textOf(item, 'purpose')],
      ],
      empty: `No ${kind}s. Register one with "writ ${kind} register".`,
    }),
    showCommand(withApi, { path: `${kind} show`, summary: `Show ${article}`, parameter: name, at, text: describe }),
    {
      path: `${kind} update`,
      summary: `Change ${article}: owner, description, labels`,
      details: `What is not named stays as it is. Labels, DNS names${kind === 'agent' ? ' and model' : ''} are replaced as a whole.`,
      parameters: [name],
      flags: [
        { name: 'team', value: 'name', summary: 'hand it to this team' },
        { name: 'sponsor', value: 'person', summary: 'person who answers for it from now on' },
        { name: 'purpose', value: 'text', summary: 'what it is for' },
        ...flags,
        { name: 'no-dns', summary: 'take its DNS names back' },
      ],
      changes: true,
      async run(input, terminal) {
        const body = changes(input);
        if (input.dryRun) {
          terminal.result({ would: 'update', body }, `Would change:\n${JSON.stringify(body, undefined, 2)}`);
          return EXIT.ok;
        }
        const agent = await withApi(input, (api) => api.patch(at(input), body));
        terminal.result(agent, describe(agent));
        return EXIT.ok;
      },
    },
    {
      path: `${kind} retire`,
      summary: `Stop ${article} and all its instances for good`,
      details: 'What its instances let in falls with them. Certificates are revoked, and its name is never used again.',
      parameters: [name],
      flags: END_FLAGS,
      changes: true,
      run: (input, terminal) =>
        withApi(input, async (api) => {
          const run = { input, terminal, api };
          if (input.dryRun) {
            const agent = await api.get(at(input));
            return wouldEnd(run, { verb: 'retire', kind: 'agent', item: agent, text: describe(agent) });
          }
          const retired = needed(input, 'name');
          const what = `This stops every instance of ${retired} and all that they let in.`;
          if (!(await confirmed(input, terminal, { what, name: retired }))) return EXIT.failed;
          terminal.progress(`stopping ${retired}`);
          const answer = await end(run, { route: `${at(input)}/retire`, subject: `agent:${retired}` });
          terminal.result(answer, `${retired} is retired; its certificates are revoked.`);
          return EXIT.ok;
        }),
    },
  ];
}

/** What the flags say, in the shape of the REST body; absent flags are absent. */
function changes(input: Input): Item {
  const pick = (entries: readonly (readonly [string, string | undefined])[]): Item =>
    Object.fromEntries(entries.filter(([, value]) => value !== undefined));
  const owner = pick([
    ['team', input.flag('team')],
    ['sponsor', input.flag('sponsor')],
  ]);
  const model = pick([
    ['provider', input.flag('model-provider')],
    ['name', input.flag('model')],
    ['version', input.flag('model-version')],
  ]);
  const labels = parsePairs(input.flags('label'), 'label');
  const dns = input.flags('dns');
  return {
    ...(Object.keys(owner).length > 0 && { owner }),
    ...pick([
      ['purpose', input.flag('purpose')],
      ['environment', input.flag('environment')],
      ['profile', input.flag('profile')],
    ]),
    ...(Object.keys(model).length > 0 && { model }),
    ...(Object.keys(labels).length > 0 && { labels }),
    ...(dns.length > 0 && { dns_names: dns }),
    ...(input.has('no-dns') && { dns_names: [] }),
  };
}

/** An agent whose team is gone is active and yet gets nothing. */
function statusOf(agent: Item): string {
  const status = textOf(agent, 'status');
  return status === 'active' && textOf(agent, 'owner_status') === 'gone' ? 'active, owner gone' : status;
}

function describe(agent: Item): string {
  const owner = itemOf(agent, 'owner');
  const model = itemOf(agent, 'model');
  return list([
    ['name', textOf(agent, 'name')],
    ['kind', textOf(agent, 'kind')],
    ['status', statusOf(agent)],
    ['owner', [textOf(owner, 'team'), textOf(owner, 'sponsor')].filter(Boolean).join(', ')],
    ['purpose', textOf(agent, 'purpose')],
    ['environment', textOf(agent, 'environment')],
    ['profile', textOf(agent, 'profile')],
    ['model', [textOf(model, 'provider'), textOf(model, 'name'), textOf(model, 'version')].filter(Boolean).join(' ')],
    [
      'labels',
      Object.entries(itemOf(agent, 'labels'))
        .map(([key, value]) => `${key}=${String(value)}`)
        .join(', '),
    ],
    ['DNS names', ((agent['dns_names'] as readonly string[] | undefined) ?? []).join(', ')],
    ['registered', textOf(agent, 'created_at')],
    ['changed', textOf(agent, 'version') === '1' ? undefined : textOf(agent, 'updated_at')],
  ]);
}
