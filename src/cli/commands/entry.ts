import { isWritError } from '../../base/error.ts';
import { type Api, type Item, itemsOf, textOf, type WithApi } from '../api.ts';
import { type Command, EXIT, type Input, type Terminal } from '../command.ts';
import { needed } from '../input.ts';
import { listCommand } from '../listing.ts';
import { makeFor, NEWCOMER_FLAGS, newcomerWishes } from '../newcomer.ts';
import { showCommand } from '../showing.ts';
import { list } from '../table.ts';
import { takeBackCommand } from '../take-back.ts';
import { formatDuration, parseDuration } from '../values.ts';

const ID = { name: 'id', summary: 'id of the entry, see "writ entry list"', required: true } as const;

/** `writ entry …`: what must be attested, and as which agent or service its bearer is let in. */
export function entryCommands(withApi: WithApi): readonly Command[] {
  const at = (input: Input): string => `/v1/entries/${encodeURIComponent(needed(input, 'id'))}`;
  return [
    {
      path: 'entry create',
      summary: 'Say what must be attested to be let in as an agent or service',
      details:
        'All facts must hold; a value may end in *. Facts come from an attestor ("writ attestor list"), or from what nodes ' +
        'see: instances of a service that run "writ agent". docs/ATTESTATION.md lists them.',
      parameters: [
        { name: 'name', summary: 'agent or service as whose instances its bearers are let in', required: true },
      ],
      flags: [
        { name: 'node', value: 'service', summary: 'the service whose instances see the workload' },
        { name: 'attestor', value: 'name', summary: 'the attestor that vouches for the bearer' },
        { name: 'match', value: 'fact=value', summary: 'what must have been attested', many: true },
        { name: 'hint', value: 'text', summary: 'what the workload tells this identity from others by' },
        ...NEWCOMER_FLAGS,
        { name: 'lifetime', value: 'duration', summary: 'how long their certificates live at most' },
        { name: 'federates-with', value: 'domain', summary: 'trust domain whose bundle they get, too', many: true },
        {
          name: 'per',
          value: 'what',
          summary: 'each process is an instance of its own, or all on one node share one',
          choices: ['process', 'node'],
          default: 'process',
        },
      ],
      examples: [
        {
          line: 'writ entry create planner --node host --match unix:uid=1000 --match unix:path=/opt/planner/bin/planner',
          does: 'lets that program in on every machine that runs "writ agent" as the service host',
        },
        {
          line: "writ entry create deployer --attestor github --match 'oidc:sub=repo:example/app:*' --scope deploy",
          does: 'lets the workflows of one repository in',
        },
      ],
      changes: true,
      run: (input, terminal) =>
        withApi(input, async (api) => {
          const run = { input, terminal, api };
          const entry = await makeFor(run, { route: '/v1/entries', what: 'an entry', wishes: wishes(input) });
          if (entry !== undefined) terminal.result(entry, describe(entry));
          await sayUnknown(input.flags('federates-with'), api, terminal);
          return EXIT.ok;
        }),
    },
    listCommand(withApi, {
      path: 'entry list',
      summary: 'List registration entries',
      flags: [
        { name: 'agent', value: 'name', summary: 'for this agent only' },
        { name: 'service', value: 'name', summary: 'for this service only' },
        { name: 'attestor', value: 'name', summary: 'on the evidence of this attestor only' },
        { name: 'node', value: 'service', summary: 'seen by instances of this service only' },
      ],
      request: (input) => ({
        path: '/v1/entries',
        query: {
          agent: input.flag('agent'),
          service: input.flag('service'),
          attestor: input.flag('attestor'),
          node: input.flag('node'),
        },
      }),
      columns: [
        ['ID', (item) => textOf(item, 'id')],
        ['LETS IN', (item) => `${textOf(item, 'kind')}/${textOf(item, 'name')}`],
        ['ON THE WORD OF', sourceOf],
        ['MATCH', (item) => texts(item, 'match').join(' ')],
        ['SCOPES', (item) => texts(item, 'scopes').join(' ')],
        ['MADE BY', (item) => textOf(item, 'created_by')],
      ],
      empty: 'No registration entries. Make one with "writ entry create".',
    }),
    showCommand(withApi, {
      path: 'entry show',
      summary: 'Show a registration entry',
      ...{ parameter: ID, at, text: describe },
    }),
    takeBackCommand(withApi, {
      path: 'entry remove',
      summary: 'Let nobody in by an entry any more',
      details:
        'What nodes let in by it is renewed no more. Instances stay until their certificates end; stop them with "writ stop" ' +
        'where they must go at once.',
      ...{ parameter: ID, at, text: describe },
      act: (api, route) => api.remove(route),
      done: (entry) => `${textOf(entry, 'id')} is removed; nobody is let in by it any more.`,
    }),
  ];
}

function wishes(input: Input): Item {
  const domains = input.flags('federates-with');
  const lifetime = input.flag('lifetime');
  const stated = ['node', 'attestor', 'hint'].map((name) => [name, input.flag(name)] as const);
  return {
    ...Object.fromEntries(stated.filter(([, value]) => value !== undefined)),
    match: input.flags('match'),
    ...newcomerWishes(input),
    ...(lifetime !== undefined && { lifetime_seconds: parseDuration(lifetime, 'lifetime') }),
    ...(domains.length > 0 && { federates_with: domains }),
    ...(input.flag('per') === 'node' && { per: 'node' }),
  };
}

/** An entry may name a trust domain that is to be federated later, or one that was meant to be another. */
async function sayUnknown(domains: readonly string[], api: Api, terminal: Terminal): Promise<void> {
  if (domains.length === 0) return;
  try {
    const known = new Set(
      itemsOf(await api.get('/v1/federations'), 'items').map((item) => textOf(item, 'trust_domain')),
    );
    for (const domain of domains.filter((one) => !known.has(one))) {
      terminal.say(`There is no federation with ${domain} yet, so its bundle is not given: see "writ federation add".`);
    }
  } catch (error) {
    // The entry is made, and whoever made it may not be one who may look at federations.
    if (!isWritError(error)) throw error;
  }
}

function sourceOf(entry: Item): string {
  const attestor = textOf(entry, 'attestor');
  return attestor === '' ? `nodes of ${textOf(entry, 'node')}` : `attestor ${attestor}`;
}

function texts(item: Item, name: string): readonly string[] {
  return (item[name] ?? []) as readonly string[];
}

function describe(entry: Item): string {
  const lifetime = textOf(entry, 'lifetime_seconds');
  return list([
    ['id', textOf(entry, 'id')],
    ['lets in', `${textOf(entry, 'kind')}/${textOf(entry, 'name')}`],
    ['on the word of', sourceOf(entry)],
    ...texts(entry, 'match').map((fact): [string, string] => ['match', fact]),
    ['hint', textOf(entry, 'hint')],
    ['workflow', textOf(entry, 'workflow')],
    ['scopes', texts(entry, 'scopes').join(', ')],
    ['lifetime', lifetime === '' ? '' : formatDuration(Number(lifetime))],
    ['federates with', texts(entry, 'federates_with').join(', ')],
    ['per', textOf(entry, 'per')],
    ['made by', textOf(entry, 'created_by')],
    ['made', textOf(entry, 'created_at')],
  ]);
}
