import { type Item, textOf, type WithApi } from '../api.ts';
import { type Command, EXIT, type Input, type Terminal } from '../command.ts';
import { needed } from '../input.ts';
import { listCommand } from '../listing.ts';
import { showCommand } from '../showing.ts';
import { list, relative } from '../table.ts';
import { parseDuration } from '../values.ts';

const ID = { name: 'id', summary: 'id of the emergency access', required: true } as const;

/** `writ break-glass …`: emergency access that two others grant, and its review. */
export function breakGlassCommands(withApi: WithApi, now: () => number): readonly Command[] {
  const change = (verb: 'end' | 'review', summary: string, details: string, flags: Command['flags'] = []): Command => ({
    path: `break-glass ${verb}`,
    summary,
    details,
    parameters: [ID],
    flags,
    changes: true,
    async run(input, terminal) {
      const id = needed(input, 'id');
      if (input.dryRun) {
        terminal.result({ would: verb, emergency: id }, `Would ${verb} ${id}.`);
        return EXIT.ok;
      }
      const body: Item = verb === 'review' ? { note: input.flag('note')! } : {};
      const answer = await withApi(input, (api) => api.post(`${at(id)}/${verb}`, body));
      terminal.result(answer, describe(answer, now()));
      return EXIT.ok;
    },
  });
  return [
    {
      path: 'break-glass begin',
      summary: 'Begin emergency access, half an hour at most, that two others have granted',
      details:
        'Ask with --request-approval and the same purpose; begin with --approval ID. It ends by itself and is never made longer; another person reviews it.',
      flags: [
        { name: 'purpose', value: 'text', summary: 'the one thing that it is for', required: true },
        { name: 'for', value: 'duration', summary: 'how long, at most 30m', default: '30m' },
      ],
      changes: true,
      examples: [
        {
          line: 'writ break-glass begin --purpose "gateway held by mistake" --for 15m --request-approval "outage"',
          does: 'ask two officers',
        },
      ],
      run: (input, terminal) => begin(withApi, input, terminal, now()),
    },
    change('end', 'End emergency access before its time', 'For whoever has it, officers and security.'),
    listCommand(withApi, {
      path: 'break-glass list',
      summary: 'List emergency access and recoveries, the newest first',
      flags: [{ name: 'unreviewed', summary: 'those alone that nobody has reviewed' }],
      request: (input) => ({
        path: '/v1/emergencies',
        query: { state: input.has('unreviewed') ? 'unreviewed' : undefined },
      }),
      columns: [
        ['ID', (item) => textOf(item, 'id')],
        ['KIND', (item) => textOf(item, 'kind')],
        ['STATE', (item) => textOf(item, 'state')],
        ['WHO', (item) => textOf(item, 'operator')],
        ['PURPOSE', (item) => textOf(item, 'purpose')],
        ['ENDS', (item) => relative(Date.parse(textOf(item, 'ends_at')), now())],
      ],
      empty: 'There was none.',
    }),
    showCommand(withApi, {
      path: 'break-glass show',
      summary: 'Show emergency access, who granted it and who reviewed it',
      parameter: ID,
      at: (input) => at(needed(input, 'id')),
      text: (answer) => describe(answer, now()),
    }),
    change(
      'review',
      'Close the review of emergency access that is over',
      'For another person than the one it was about. What was done is under "writ ledger list --subject emergency:ID" and names it.',
      [{ name: 'note', value: 'text', summary: 'what you found', required: true }],
    ),
  ];
}

async function begin(withApi: WithApi, input: Input, terminal: Terminal, now: number): Promise<number> {
  const body = { purpose: input.flag('purpose')!, seconds: parseDuration(input.flag('for')!, 'for') };
  if (input.dryRun) {
    terminal.result({ would: 'begin', ...body }, `Would begin emergency access for ${body.seconds} seconds.`);
    return EXIT.ok;
  }
  const answer = await withApi(input, (api) => api.post('/v1/emergencies', body));
  terminal.result(answer, describe(answer, now));
  return EXIT.ok;
}

function at(id: string): string {
  return `/v1/emergencies/${encodeURIComponent(id)}`;
}

function describe(item: Item, now: number): string {
  const ends = textOf(item, 'ends_at');
  return list([
    ['id', textOf(item, 'id')],
    ['kind', textOf(item, 'kind')],
    ['state', textOf(item, 'state')],
    ['who', textOf(item, 'operator')],
    ['purpose', textOf(item, 'purpose')],
    ['granted by', (item['people'] as readonly string[] | undefined)?.join(', ') ?? ''],
    ['approval', textOf(item, 'approval')],
    ['ends', `${ends} (${relative(Date.parse(ends), now)})`],
    ['reviewed by', textOf(item, 'reviewed_by') || 'nobody yet'],
    ['note', textOf(item, 'note')],
  ]);
}
