import { type OpenApi, textOf } from '../api.ts';
import { type Command, EXIT } from '../command.ts';
import { parseDuration } from '../input.ts';
import { listCommand } from '../listing.ts';
import { needed } from '../program.ts';
import { relative, table } from '../table.ts';

/** `writ token …`: join tokens, one string that lets a new instance in. */
export function tokenCommands(open: OpenApi, now: () => number): readonly Command[] {
  return [
    {
      path: 'token create',
      summary: 'Make a join token for an agent or service',
      details:
        'The token is shown this once. It carries the address of the server and the fingerprint of its root, so it is all that a new instance needs.',
      parameters: [{ name: 'name', summary: 'agent or service whose instances it lets in', required: true }],
      flags: [
        { name: 'service', summary: 'the name is that of a service' },
        { name: 'uses', value: 'number', summary: 'how many instances it lets in', default: '1' },
        { name: 'lifetime', value: 'duration', summary: 'how long it may be used', default: '1h' },
        { name: 'workflow', value: 'name', summary: 'workflow that goes into the certificates' },
        { name: 'scope', value: 'name', summary: 'scope name that goes into the certificates', many: true },
      ],
      examples: [
        { line: 'writ token create planner', does: 'lets one instance in within the hour' },
        { line: 'writ token create planner --uses 50 --lifetime 24h', does: 'lets a fleet in' },
      ],
      changes: true,
      async run(input, terminal) {
        const uses = Number(input.flag('uses'));
        const body = {
          [input.has('service') ? 'service' : 'agent']: needed(input, 'name'),
          uses,
          lifetime_seconds: parseDuration(input.flag('lifetime')!, 'lifetime'),
          ...(input.flag('workflow') === undefined ? {} : { workflow: input.flag('workflow')! }),
          ...(input.flags('scope').length === 0 ? {} : { scopes: input.flags('scope') }),
        };
        if (input.dryRun) {
          terminal.result({ would: 'create', body }, `Would create a token:\n${JSON.stringify(body, undefined, 2)}`);
          return EXIT.ok;
        }
        const token = await (await open(input)).post('/v1/tokens', body);
        terminal.result(token, textOf(token, 'token'));
        const expires = Date.parse(textOf(token, 'expires_at'));
        terminal.say(
          `Lets ${uses === 1 ? 'one instance' : `${uses} instances`} of ${needed(input, 'name')} in, expires ${relative(expires, now())}. Shown this once.`,
        );
        return EXIT.ok;
      },
    },
    listCommand(open, {
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
        ['FOR', (item) => textOf(item, 'agent') || textOf(item, 'service') || textOf(item, 'name')],
        ['STATUS', (item) => textOf(item, 'status')],
        ['USES LEFT', (item) => textOf(item, 'uses_left')],
        ['EXPIRES', (item) => relative(Date.parse(textOf(item, 'expires_at')), now())],
      ],
      empty: 'No join tokens. Make one with "writ token create".',
    }),
    {
      path: 'token revoke',
      summary: 'Make a join token useless',
      details: 'Instances that it let in stay; stop them with "writ instance stop".',
      parameters: [{ name: 'id', summary: 'id of the token, see "writ token list"', required: true }],
      changes: true,
      async run(input, terminal) {
        const path = `/v1/tokens/${encodeURIComponent(needed(input, 'id'))}`;
        const api = await open(input);
        const token = input.dryRun ? await api.get(path) : await api.post(`${path}/revoke`, {});
        const rows = [[textOf(token, 'id'), textOf(token, 'status'), textOf(token, 'uses_left')]];
        terminal.result(
          input.dryRun ? { would: 'revoke', token } : token,
          table(['ID', 'STATUS', 'USES LEFT'], rows, ''),
        );
        return EXIT.ok;
      },
    },
  ];
}
