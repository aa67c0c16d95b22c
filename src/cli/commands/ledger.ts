import { textOf, type WithApi } from '../api.ts';
import { type Command, EXIT, type Input } from '../command.ts';
import { needed } from '../input.ts';
import { listCommand } from '../listing.ts';
import { summaryOf } from './trace.ts';

const INDEX = { name: 'index', summary: 'number of the entry', required: true } as const;

/** `writ ledger …` as far as a server is asked; what opens a copy of the data lies in `cmd/`. */
export function ledgerCommands(withApi: WithApi): readonly Command[] {
  const entry = (input: Input): string => `/v1/ledger/entries/${encodeURIComponent(needed(input, 'index'))}`;
  return [
    listCommand(withApi, {
      path: 'ledger list',
      summary: 'List entries in the order of the log',
      flags: [
        { name: 'subject', value: 'kind:id', summary: 'about this only, e.g. agent:planner or instance:01k…' },
        { name: 'from', value: 'index', summary: 'from this entry on', default: '0' },
      ],
      request: (input) => ({
        path: '/v1/ledger/entries',
        query: { subject: input.flag('subject'), from: input.flag('from') },
      }),
      columns: [
        ['ENTRY', (item) => textOf(item, 'index')],
        ['TIME', (item) => textOf(item, 'time')],
        ['EVENT', (item) => textOf(item, 'type')],
        ['DETAIL', summaryOf],
      ],
      empty: 'No entries.',
    }),
    {
      path: 'ledger show',
      summary: 'Show one entry',
      parameters: [INDEX],
      async run(input, terminal) {
        const item = await withApi(input, (api) => api.get(entry(input)));
        terminal.result(item, JSON.stringify(item, undefined, 2));
        return EXIT.ok;
      },
    },
    {
      path: 'ledger receipt',
      summary: 'Print the receipt of an entry, which verifies offline',
      parameters: [INDEX],
      examples: [
        {
          line: 'writ ledger receipt 7 > 7.tlog-proof',
          does: 'evidence for "writ ledger check-receipt" and other tools',
        },
      ],
      async run(input, terminal) {
        const receipt = await withApi(input, (api) => api.text(`${entry(input)}/receipt`));
        terminal.result({ receipt }, receipt);
        return EXIT.ok;
      },
    },
    {
      path: 'ledger checkpoint',
      summary: 'Print the latest checkpoint',
      async run(input, terminal) {
        const checkpoint = await withApi(input, (api) => api.text('/ledger/checkpoint'));
        terminal.result({ checkpoint }, checkpoint);
        return EXIT.ok;
      },
    },
    {
      path: 'ledger key',
      summary: 'Print the public keys by which checkpoints and receipts are verified',
      details: 'Keep them, or hand them out, by another way than the ledger itself.',
      examples: [
        { line: 'writ ledger key > ledger-keys', does: 'for --keys of "writ ledger verify" and "check-receipt"' },
      ],
      async run(input, terminal) {
        const keys = await withApi(input, (api) => api.text('/ledger/keys'));
        terminal.result({ keys: keys.split('\n').filter(Boolean) }, keys);
        return EXIT.ok;
      },
    },
  ];
}
