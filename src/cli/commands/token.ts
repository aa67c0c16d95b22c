import { type Item, textOf, type WithApi } from '../api.ts';
import { type Command, EXIT, type Input } from '../command.ts';
import { needed } from '../input.ts';
import { listCommand } from '../listing.ts';
import { makeFor, NEWCOMER_FLAGS, newcomerWishes } from '../newcomer.ts';
import { showCommand } from '../showing.ts';
import { list, relative } from '../table.ts';
import { takeBackCommand } from '../take-back.ts';
import { parseCount, parseDuration } from '../values.ts';

const ID = { name: 'id', summary: 'id of the token, see "writ token list"', required: true } as const;

/** `writ token …`: join tokens, one string that lets a new instance in. */
export function tokenCommands(withApi: WithApi, now: () => number): readonly Command[] {
  const at = (input: Input): string => `/v1/tokens/${encodeURIComponent(needed(input, 'id'))}`;
  return [
    {
      path: 'token create',
      summary: 'Make a join token for an agent or service',
      details:
        'The token is shown this once. It carries the address of the server and the fingerprint of its root, so it is all that a new instance needs.',
      parameters: [{ name: 'name', summary: 'agent or service whose instances it lets in', required: true }],
      flags: [
        { name: 'uses', value: 'number', summary: 'how many instances it lets in', default: '1' },
        { name: 'lifetime', value: 'duration', summary: 'how long it may be used', default: '1h' },
        ...NEWCOMER_FLAGS,
      ],
      examples: [
        { line: 'writ token create planner', does: 'lets one instance in within the hour' },
        { line: 'writ token create planner --uses 50 --lifetime 24h', does: 'lets a fleet in' },
      ],
      changes: true,
      run: (input, terminal) =>
        withApi(input, async (api) => {
          const run = { input, terminal, api };
          const token = await makeFor(run, { route: '/v1/tokens', what: 'a token', wishes: wishes(input) });
          if (token === undefined) return EXIT.ok;
          terminal.result(token, textOf(token, 'token'));
          const many = textOf(token, 'uses') === '1' ? 'one instance' : `${textOf(token, 'uses')} instances`;
          const expires = relative(Date.parse(textOf(token, 'expires_at')), now());
          terminal.say(`Lets ${many} of ${needed(input, 'name')} in, expires ${expires}. Shown this once.`);
          return EXIT.ok;
        }),
    },
    listCommand(withApi, {
      path: 'token list',
      summary: 'List join tokens, without their secrets',
      flags: [
        { name: 'agent', value: 'name', summary: 'of this agent only' },
        { name: 'service', value: 'name', summary: 'of this service only' },
      ],
      request: (input) => ({
        path: '/v1/tokens',
        query: { agent: input.flag('agent'), service: input.flag('service') },
      }),
      columns: [
        ['ID', (item) => textOf(item, 'id')],
        ['FOR', (item) => `${textOf(item, 'kind')}/${textOf(item, 'name')}`],
        ['STATUS', (item) => textOf(item, 'status')],
        ['USES LEFT', (item) => `${textOf(item, 'uses_left')} of ${textOf(item, 'uses')}`],
        ['EXPIRES', (item) => relative(Date.parse(textOf(item, 'expires_at')), now())],
        ['MADE BY', (item) => textOf(item, 'created_by')],
      ],
      empty: 'No join tokens. Make one with "writ token create".',
    }),
    showCommand(withApi, {
      path: 'token show',
      summary: 'Show a join token, without its secret',
      ...{ parameter: ID, at, text: describe },
    }),
    takeBackCommand(withApi, {
      path: 'token revoke',
      summary: 'Make a join token useless',
      details: 'Instances that it let in stay; stop them with "writ instance stop".',
      ...{ parameter: ID, at, text: describe },
      act: (api, route) => api.post(`${route}/revoke`, {}),
      done: (token) => `${textOf(token, 'id')} is revoked; it lets nobody in any more.`,
    }),
  ];
}

function wishes(input: Input): Item {
  return {
    uses: parseCount(input.flag('uses')!, 'uses', 10_000),
    lifetime_seconds: parseDuration(input.flag('lifetime')!, 'lifetime'),
    ...newcomerWishes(input),
  };
}

function describe(token: Item): string {
  return list([
    ['id', textOf(token, 'id')],
    ['for', `${textOf(token, 'kind')}/${textOf(token, 'name')}`],
    ['status', textOf(token, 'status')],
    ['uses left', `${textOf(token, 'uses_left')} of ${textOf(token, 'uses')}`],
    ['workflow', textOf(token, 'workflow')],
    ['scopes', (token['scopes'] as string[] | undefined)?.join(', ')],
    ['made by', textOf(token, 'created_by')],
    ['made', textOf(token, 'created_at')],
    ['expires', textOf(token, 'expires_at')],
    ['last used', textOf(token, 'last_used_at')],
    ['revoked', textOf(token, 'revoked_at')],
  ]);
}
