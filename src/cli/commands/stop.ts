import { type Item, itemOf, textOf, type WithApi } from '../api.ts';
import { type Command, EXIT, type Flag, type Input, type Terminal } from '../command.ts';
import { confirmed, YES_FLAG } from '../confirm.ts';
import { WAIT_FLAG, watchEffect } from '../effect.ts';
import { EVIDENCE_FLAG, evidenceOf } from '../evidence.ts';
import { needed } from '../input.ts';
import { listCommand } from '../listing.ts';
import { showCommand } from '../showing.ts';
import { list } from '../table.ts';
import { CAUSES } from './causes.ts';

/** Each kind of target: how its name is called, and what falls with it. */
const KINDS = {
  certificate: ['serial', 'serial number in hex', 'one certificate'],
  instance: ['id', 'id of the instance', 'an instance and all that it let in, full depth'],
  parent: ['id', 'id of the instance at the top', 'an instance and all that it let in, as "writ stop instance" does'],
  agent: [
    'name',
    'name of the agent or service',
    'an agent or service with all its instances, and all that they let in',
  ],
  owner: ['team', 'name of the team', 'everything of a team'],
  label: ['label', 'label as key=value', 'everything with a label'],
  authority: ['id', 'id of the issuing authority', 'an issuing authority with all that it issued'],
} as const;

type Kind = keyof typeof KINDS;

const FLAGS: readonly Flag[] = [
  { name: 'cause', value: 'cause', summary: 'why', choices: [...CAUSES, 'authority_compromise'], required: true },
  { name: 'quarantine', summary: 'hold it, which can be lifted again; stop nothing for ever' },
  EVIDENCE_FLAG,
  WAIT_FLAG,
  YES_FLAG,
];

const ID = { name: 'id', summary: 'id of the stop', required: true } as const;

/** `writ stop …` and `writ release`: the cord. */
export function stopCommands(withApi: WithApi): readonly Command[] {
  return [
    ...(Object.keys(KINDS) as Kind[]).map((kind) => pull(withApi, kind)),
    listCommand(withApi, {
      path: 'stop list',
      summary: 'List stops and quarantines, newest first',
      flags: [
        {
          name: 'state',
          value: 'state',
          summary: 'in this state only',
          choices: ['quarantined', 'revoking', 'revoked', 'released'],
        },
      ],
      request: (input) => ({ path: '/v1/stops', query: { state: input.flag('state') } }),
      columns: [
        ['STOP', (item) => textOf(item, 'id')],
        ['WHAT', what],
        ['STATE', stateOf],
        ['CAUSE', (item) => textOf(item, 'cause')],
        ['BY', (item) => textOf(item, 'stopped_by')],
        ['AT', (item) => textOf(item, 'stopped_at')],
      ],
      empty: 'Nothing was stopped with the cord.',
    }),
    showCommand(withApi, {
      path: 'stop show',
      summary: 'Show a stop or quarantine',
      ...{ parameter: ID, at, text: describe },
    }),
    {
      path: 'stop confirm',
      summary: 'Confirm, as a second person, that a quarantine is to be for ever',
      parameters: [ID],
      flags: [WAIT_FLAG, YES_FLAG],
      changes: true,
      run: (input, terminal) =>
        change(input, terminal, withApi, {
          verb: 'confirm',
          would: 'Would stop for ever',
          question: (stop) => `This stops ${what(stop)} for ever.`,
        }),
    },
    {
      path: 'release',
      summary: 'Lift a quarantine',
      details: 'Letting go takes more than stopping: by default two of the group ca-officers agree to it.',
      parameters: [ID],
      changes: true,
      run: (input, terminal) =>
        change(input, terminal, withApi, { verb: 'release', would: 'Would lift the quarantine of' }),
    },
  ];
}

function pull(withApi: WithApi, kind: Kind): Command {
  const [parameter, summary, reach] = KINDS[kind];
  return {
    path: `stop ${kind}`,
    summary: `Stop ${reach}`,
    details:
      kind === 'authority'
        ? 'It is quarantined at once; for ever only by approval.'
        : 'For ever, or with --quarantine until it is released. --dry-run names exactly what would fall. What is more than one person may stop for ever is quarantined until another confirms it.',
    parameters: [{ name: parameter, summary, required: true }],
    flags: FLAGS,
    changes: true,
    run: (input, terminal) =>
      withApi(input, async (api) => {
        const given = needed(input, parameter);
        const name = kind === 'certificate' ? given.toLowerCase().replaceAll(':', '') : given;
        const quarantine = input.has('quarantine');
        const body = {
          target: { kind, name },
          cause: input.flag('cause')!,
          mode: quarantine ? 'quarantine' : 'revocation',
          ...evidenceOf(input),
        };
        if (input.dryRun) {
          const planned = await api.post('/v1/stops', { ...body, dry_run: true });
          terminal.result(planned, falls(planned, quarantine));
          return EXIT.ok;
        }
        if (
          !quarantine &&
          !(await confirmed(input, terminal, { what: `This stops ${kind} ${name} for ever.`, name }))
        ) {
          return EXIT.failed;
        }
        const made = await api.post('/v1/stops', body);
        const stop = await watchEffect(made, { input, terminal, api, subject: toldAs(kind, name) });
        terminal.result(stop, describe(stop));
        next(stop, terminal);
        return EXIT.ok;
      }),
  };
}

/** How the feed names a target. */
function toldAs(kind: Kind, name: string): string {
  return `${kind === 'certificate' ? 'serial' : kind === 'parent' ? 'instance' : kind}:${name}`;
}

async function change(
  input: Input,
  terminal: Terminal,
  withApi: WithApi,
  how: { readonly verb: string; readonly would: string; readonly question?: (stop: Item) => string },
): Promise<number> {
  return withApi(input, async (api) => {
    if (input.dryRun || (how.question !== undefined && terminal.interactive && !input.has('yes'))) {
      const stop = await api.get(at(input));
      if (input.dryRun) {
        terminal.result({ would: how.verb, stop }, `${how.would} ${what(stop)}.`);
        return EXIT.ok;
      }
      const { name } = itemOf(stop, 'target') as { name?: string };
      const asked = { what: how.question!(stop), name: name ?? '' };
      if (!(await confirmed(input, terminal, asked))) return EXIT.failed;
    }
    const made = await api.post(`${at(input)}/${how.verb}`, {});
    const { kind, name } = itemOf(made, 'target') as { kind: Kind; name: string };
    const stop = await watchEffect(made, { input, terminal, api, subject: toldAs(kind, name) });
    terminal.result(stop, describe(stop));
    return EXIT.ok;
  });
}

const at = (input: Input): string => `/v1/stops/${encodeURIComponent(needed(input, 'id'))}`;

function what(stop: Item): string {
  const target = itemOf(stop, 'target');
  return `${textOf(target, 'kind')} ${textOf(target, 'name')}`;
}

function stateOf(stop: Item): string {
  const state = textOf(stop, 'state');
  return stop['awaits_second_person'] === true ? `${state}, awaits a second person` : state;
}

function next(stop: Item, terminal: Terminal): void {
  const id = textOf(stop, 'id');
  if (stop['awaits_second_person'] === true) terminal.say(`Next, as another person: writ stop confirm ${id}`);
  else if (textOf(stop, 'state') === 'quarantined') {
    // With its own authority an operator is refused, too.
    const own = textOf(itemOf(stop, 'target'), 'kind') === 'authority';
    terminal.say(`To lift it: writ release ${id}${own ? ' (where that lets no operator in: with --here)' : ''}`);
  }
}

function describe(stop: Item): string {
  return list([
    ['stop', textOf(stop, 'id')],
    ['what', what(stop)],
    ['state', stateOf(stop)],
    ['cause', textOf(stop, 'cause')],
    ['by', textOf(stop, 'stopped_by')],
    ['allowed by', (stop['authority'] as string[] | undefined)?.join(', ')],
    ['evidence', textOf(stop, 'evidence')],
    ['at', textOf(stop, 'stopped_at')],
    ['for ever asked by', textOf(stop, 'revocation_by')],
    ['confirmed by', textOf(stop, 'confirmed_by')],
    ['released by', textOf(stop, 'released_by')],
  ]);
}

const COUNTED = {
  agents: ['agent or service', 'agents and services'],
  instances: ['instance', 'instances'],
  certificates: ['certificate', 'certificates'],
  tokens: ['join token', 'join tokens'],
  entries: ['registration entry', 'registration entries'],
} as const;

/** What a dry run says would fall. */
export function falls(planned: Item, quarantine: boolean): string {
  const found = itemOf(planned, 'falls');
  const names = (member: string): string[] => (found[member] as string[] | undefined) ?? [];
  const lines = (Object.keys(COUNTED) as (keyof typeof COUNTED)[]).flatMap((member) => [
    `${names(member).length} ${COUNTED[member][names(member).length === 1 ? 0 : 1]}`,
    ...names(member).map((name) => `  ${name}`),
  ]);
  const second = found['needs_second_person'] === true ? ['Another person would have to confirm it.'] : [];
  const authority = textOf(itemOf(planned, 'target'), 'kind') === 'authority';
  const only = authority && !quarantine ? ['It would be quarantined; for ever takes an approval.'] : [];
  const own = authority ? ['Nothing more would be issued by it; operators that it certified are refused, too.'] : [];
  return [
    `Would ${quarantine ? 'quarantine' : 'stop for ever'} ${what(planned)}:`,
    ...[...lines, ...second, ...own, ...only],
  ].join('\n');
}
