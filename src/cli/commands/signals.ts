import { actCommand } from '../act.ts';
import { type Item, itemsOf, textOf, type WithApi } from '../api.ts';
import { type Command, EXIT } from '../command.ts';
import { listCommand } from '../listing.ts';
import { table } from '../table.ts';

/** `writ signals …`: who is told of stops by Shared Signals, and what could not be told. */
export function signalCommands(withApi: WithApi): readonly Command[] {
  return [
    {
      path: 'signals list',
      summary: 'List the streams by which other systems are told of stops',
      details: 'Streams are made by their receivers, or with POST /v1/signals/streams: docs/SHARED-SIGNALS.md.',
      async run(input, terminal) {
        const answer: unknown = await withApi(input, (api) => api.get('/v1/signals/streams'));
        const items = itemsOf({ items: answer }, 'items');
        const rows = items.map((item) => [
          textOf(item, 'stream_id'),
          textOf(item, 'writ_status'),
          textOf(item, 'aud'),
          textOf(item, 'writ_delivered'),
          textOf(item, 'writ_waiting'),
          textOf(item, 'writ_dead'),
        ]);
        const headers = ['STREAM', 'STATUS', 'AUDIENCE', 'DELIVERED', 'WAITING', 'DEAD'];
        terminal.result({ items }, table(headers, rows, { empty: 'No streams.', colour: terminal.colour }));
        return EXIT.ok;
      },
    },
    listCommand(withApi, {
      path: 'signals dead-letters',
      summary: 'List the signals that could not be delivered, and why',
      request: () => ({ path: '/v1/signals/dead-letters', query: { limit: 200 } }),
      whole: true,
      columns: [
        ['STREAM', (item) => textOf(item, 'stream_id')],
        ['JTI', (item) => textOf(item, 'jti')],
        ['ATTEMPTS', (item) => textOf(item, 'attempts')],
        ['FAULT', (item) => textOf(item, 'fault')],
        ['SINCE', (item) => textOf(item, 'created_at')],
      ],
      empty: 'Everything was delivered, or waits for its next attempt.',
    }),
    actCommand(withApi, {
      path: 'signals retry',
      summary: 'Try again what could not be delivered over a stream',
      parameter: { name: 'stream', summary: 'id of the stream' },
      route: (stream) => `/v1/signals/streams/${stream}/retry`,
      would: (stream) => `Would try again what could not be delivered over ${stream}.`,
      done: (stream, answer) => `${textOf(answer, 'writ_waiting')} wait in ${stream}.`,
    }),
    {
      path: 'signals rotate-key',
      summary: 'Have another key follow the one that signs security event tokens',
      details:
        'The new key is published at once and signs after an hour; the one before stays published for a week after that. ' +
        'It happens by itself every 300 days.',
      flags: [
        { name: 'at-once', summary: 'sign with the new key at once and delete those before: for one that was stolen' },
      ],
      changes: true,
      async run(input, terminal) {
        const atOnce = input.has('at-once');
        if (input.dryRun) {
          const how = atOnce ? 'sign with another key at once, and delete those before' : 'publish another key';
          terminal.result({ would: 'rotate', at_once: atOnce }, `Would ${how}.`);
          return EXIT.ok;
        }
        const answer: Item = await withApi(input, (api) =>
          api.post('/v1/signals/rotate-key', atOnce ? { at_once: true } : {}),
        );
        terminal.result(answer, `Key ${textOf(answer, 'kid')} signs from ${textOf(answer, 'signs_from')} on.`);
        return EXIT.ok;
      },
    },
  ];
}
