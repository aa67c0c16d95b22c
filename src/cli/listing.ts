import { type Item, itemsOf, type OpenApi, parseLimit, type Query, readPages } from './api.ts';
import { type Command, EXIT, type Flag, type Input } from './command.ts';
import { table } from './table.ts';

export interface Listing {
  readonly path: string;
  readonly summary: string;
  readonly details?: string;
  readonly examples?: Command['examples'];
  readonly parameters?: Command['parameters'];
  readonly flags: readonly Flag[];
  /** The route, and what goes behind `?`. */
  readonly request: (input: Input) => { readonly path: string; readonly query: Query };
  readonly columns: readonly (readonly [string, (item: Item) => string])[];
  readonly empty: string;
  /** The route gives everything at once. */
  readonly whole?: boolean;
}

const PAGING: readonly Flag[] = [
  { name: 'limit', value: 'number', summary: 'how many rows at most', default: '50' },
  { name: 'cursor', value: 'cursor', summary: 'go on where the listing before ended' },
];

/** A command that shows a listing: a table, or with `--json` its items and the cursor to go on with. */
export function listCommand(open: OpenApi, listing: Listing): Command {
  const { path, summary, details, examples, parameters, columns, empty, whole = false } = listing;
  return {
    path,
    summary,
    ...(details === undefined ? {} : { details }),
    ...(examples === undefined ? {} : { examples }),
    ...(parameters === undefined ? {} : { parameters }),
    flags: [...listing.flags, ...(whole ? [] : PAGING)],
    async run(input, terminal) {
      const { path: route, query } = listing.request(input);
      const api = await open(input);
      const { items, next } = whole
        ? { items: itemsOf(await api.get(route, query), 'items'), next: undefined }
        : await readPages(api, route, { ...query, cursor: input.flag('cursor') }, parseLimit(input.flag('limit')));
      const rows = items.map((item) => columns.map(([, show]) => show(item)));
      const headers = columns.map(([name]) => name);
      terminal.result({ items, ...(next === undefined ? {} : { next_cursor: next }) }, table(headers, rows, empty));
      if (next !== undefined) terminal.say(`More: add --cursor ${next}`);
      return EXIT.ok;
    },
  };
}
