import { isWritError } from '../../base/error.ts';
import { type Item, itemsOf, textOf, type WithApi } from '../api.ts';
import { type Command, EXIT, type Input, type Terminal } from '../command.ts';
import { confirmed, YES_FLAG } from '../confirm.ts';
import { needed } from '../input.ts';
import { type Listing, listCommand } from '../listing.ts';
import { list, relative } from '../table.ts';

const ID = { name: 'id', summary: 'id of the approval', required: true } as const;

/** `writ approval …`: what is asked for, and the answers of people. */
export function approvalCommands(withApi: WithApi, now: () => number): readonly Command[] {
  const said = (decision: 'approve' | 'deny', done: string): Command => ({
    path: `approval ${decision}`,
    summary:
      decision === 'approve' ? 'Agree to exactly what an approval shows' : 'Disagree, which ends an approval for ever',
    details:
      decision === 'approve'
        ? 'For people of the group that is asked, never for who asked. On a terminal it is shown first.'
        : 'For people of the group that is asked. Also what was granted and not used yet ends.',
    parameters: [ID],
    flags: [YES_FLAG],
    changes: true,
    async run(input, terminal) {
      const id = needed(input, 'id');
      if (input.dryRun) {
        terminal.result({ would: decision, approval: id }, `Would ${decision} ${id}.`);
        return EXIT.ok;
      }
      return withApi(input, async (api) => {
        const path = `/v1/approvals/${encodeURIComponent(id)}`;
        if (terminal.interactive && !input.has('yes')) {
          const shown = await api.get(path);
          terminal.say(shownText(shown, now()));
          const what = `${decision === 'approve' ? 'Allows' : 'Refuses'} what is shown above.`;
          if (!(await confirmed(input, terminal, { what, name: textOf(shown, 'action') }))) return EXIT.failed;
        }
        const answer = await api.post(`${path}/${decision}`, {});
        terminal.result(answer, `${done} ${standing(answer)}`);
        return EXIT.ok;
      });
    },
  });
  return [
    tellingReviews(withApi, {
      path: 'approval list',
      summary: 'List requests for approval, the newest first',
      flags: [
        {
          name: 'status',
          value: 'status',
          summary: 'only those',
          choices: ['pending', 'granted', 'denied', 'expired', 'withdrawn', 'used'],
        },
      ],
      request: (input) => ({ path: '/v1/approvals', query: { status: input.flag('status') } }),
      columns: [
        ['ID', (item) => textOf(item, 'id')],
        ['STATUS', (item) => textOf(item, 'status')],
        ['ACTION', (item) => textOf(item, 'action')],
        ['ON', resourceText],
        ['ASKED BY', (item) => textOf(item, 'requester').split('/').slice(3).join('/')],
        ['AGREED', (item) => `${textOf(item, 'agreed')} of ${textOf(item, 'needed')} ${textOf(item, 'group')}`],
        ['UNTIL', (item) => relative(Date.parse(textOf(item, 'expires_at')), now())],
      ],
      empty: 'Nothing was asked for.',
    }),
    {
      path: 'approval show',
      summary: 'Show what an approval would allow, whole',
      parameters: [ID],
      async run(input, terminal) {
        const answer = await withApi(input, (api) =>
          api.get(`/v1/approvals/${encodeURIComponent(needed(input, 'id'))}`),
        );
        terminal.result(answer, shownText(answer, now()));
        return EXIT.ok;
      },
    },
    listCommand(withApi, {
      path: 'approval deliveries',
      summary: 'List what webhooks were told, and what could not be delivered',
      flags: [{ name: 'state', value: 'state', summary: 'only those', choices: ['waiting', 'delivered', 'dead'] }],
      request: (input) => ({ path: '/v1/webhook-deliveries', query: { state: input.flag('state') } }),
      columns: [
        ['ID', (item) => textOf(item, 'id')],
        ['STATE', (item) => textOf(item, 'state')],
        ['APPROVAL', (item) => textOf(item, 'approval')],
        ['URL', (item) => textOf(item, 'url')],
        ['ATTEMPTS', (item) => textOf(item, 'attempts')],
        ['LAST ERROR', (item) => textOf(item, 'last_error')],
      ],
      empty: 'No webhook was told anything.',
    }),
    said('approve', 'You agreed.'),
    said('deny', 'You disagreed.'),
    {
      path: 'approval withdraw',
      summary: 'Take back a request of your own',
      parameters: [ID],
      changes: true,
      run: (input, terminal) => withdraw(withApi, input, terminal),
    },
  ];
}

/** The listing, and below it what waits for a review. */
function tellingReviews(withApi: WithApi, listing: Listing): Command {
  const command = listCommand(withApi, listing);
  return {
    ...command,
    async run(input, terminal) {
      const code = await command.run(input, terminal);
      const query = { state: 'unreviewed', limit: 200 };
      // A server of before knows of none.
      const none = (error: unknown): Item => {
        if (isWritError(error, 'not_found')) return {};
        throw error;
      };
      const { length } = itemsOf(await withApi(input, (api) => api.get('/v1/emergencies', query).catch(none)), 'items');
      if (length > 0) terminal.say(`Waiting for a review: ${length}. See "writ break-glass list --unreviewed".`);
      return code;
    },
  };
}

async function withdraw(withApi: WithApi, input: Input, terminal: Terminal): Promise<number> {
  const id = needed(input, 'id');
  if (input.dryRun) {
    terminal.result({ would: 'withdraw', approval: id }, `Would withdraw ${id}.`);
    return EXIT.ok;
  }
  const path = `/v1/approvals/${encodeURIComponent(id)}/withdraw`;
  const answer = await withApi(input, (api) => api.post(path, {}));
  terminal.result(answer, `The request ${id} is withdrawn.`);
  return EXIT.ok;
}

function resourceText(item: Item): string {
  return `${textOf(item, 'resource_type')} ${textOf(item, 'resource_id')}`;
}

function standing(item: Item): string {
  const agreed = `${textOf(item, 'agreed')} of ${textOf(item, 'needed')} of ${textOf(item, 'group')} have agreed`;
  return `The approval is ${textOf(item, 'status')}; ${agreed}.`;
}

/** Everything that it would allow. Text of a parameter that has several lines stands by itself, as it would take effect. */
function shownText(item: Item, now: number): string {
  const facts = list([
    ['approval', textOf(item, 'id')],
    ['status', textOf(item, 'status')],
    ['asked by', textOf(item, 'requester')],
    ['because', textOf(item, 'reason')],
    ['to do', textOf(item, 'action')],
    ['on', resourceText(item)],
    ['needs', `${textOf(item, 'needed')} of ${textOf(item, 'group')} (rule ${textOf(item, 'rule')})`],
    ['agreed', textOf(item, 'agreed')],
    ...(textOf(item, 'recovers_at') === ''
      ? []
      : [['takes effect', `${textOf(item, 'recovers_at')}, without consent, unless an operator denies it`] as const]),
    ['until', `${textOf(item, 'expires_at')} (${relative(Date.parse(textOf(item, 'expires_at')), now)})`],
  ]);
  const decisions = itemsOf(item, 'decisions').map(
    (one) =>
      `  ${textOf(one, 'decided_at')} ${textOf(one, 'person')} (as ${textOf(one, 'operator')}): ${textOf(one, 'decision')}`,
  );
  return [
    facts,
    ...(decisions.length === 0 ? [] : ['', 'Said so far:', ...decisions]),
    '',
    'The request that it allows, once:',
    parametersText(textOf(item, 'parameters')),
  ].join('\n');
}

function parametersText(canonical: string): string {
  const long: string[] = [];
  const shown = JSON.stringify(
    JSON.parse(canonical),
    (name, value: unknown) => {
      if (typeof value !== 'string' || !value.includes('\n')) return value;
      long.push(
        `--- ${name} ---\n${value.replaceAll(/[\p{Cc}\p{Cf}]/gu, (one) => (one === '\n' || one === '\t' ? one : '�'))}`,
      );
      return `(${value.split('\n').length} lines, below)`;
    },
    2,
  );
  return [shown, ...long].join('\n');
}
