import { type Api, type Item, itemsOf, type Query, readPages, type WithApi } from './api.ts';
import { type Command, EXIT, type Flag, type Input } from './command.ts';
import { table } from './table.ts';
import { parseCount } from './values.ts';

export interface Listing {
  readonly path: string;
  readonly summary: string;
  readonly details?: string;
  readonly examples?: Command['examples'];
  readonly parameters?: Command['parameters'];
  readonly flags?: readonly Flag[];
  /** The route, and what goes behind `?`. */
  readonly request: (input: Input, api: Api) => Request | Promise<Request>;
  readonly columns: readonly (readonly [string, (item: Item) => string])[];
  readonly empty: string;
  /** What a person is told besides, given the rows; nothing where undefined. */
  readonly next?: (items: readonly Item[]) => string | undefined;
  /** The route gives everything at once. */
  readonly whole?: boolean;
}

interface Request {
  readonly path: string;
  readonly query?: Query;
}

const MOST = 100_000;

export const PAGING: readonly Flag[] = [
  { name: 'limit', value: 'number', summary: 'how many rows at most', default: '50' },
  { name: 'cursor', value: 'cursor', summary: 'go on where the listing before ended' },
];

/** A command that shows a listing: a table, or with `--json` its items and the cursor to go on with. */
export function listCommand(withApi: WithApi, listing: Listing): Command {
  const { path, summary, details, examples, parameters, flags = [], columns, empty, whole = false } = listing;
  return {
    path,
    summary,
    ...(details === undefined ? {} : { details }),
    ...(examples === undefined ? {} : { examples }),
    ...(parameters === undefined ? {} : { parameters }),
    flags: [...flags, ...(whole ? [] : PAGING)],
    async run(input, terminal) {
      const { items, next } = await withApi(input, async (api) => {
        const { path: route, query = {} } = await listing.request(input, api);
        return whole
          ? { items: itemsOf(await api.get(route, query), 'items'), next: undefined }
          : readListing(api, input, { path: route, query });
      });
      const rows = items.map((item) => columns.map(([, show]) => show(item)));
      const headers = columns.map(([name]) => name);
      const shown = table(headers, rows, { empty, colour: terminal.colour });
      terminal.result({ items, ...(next === undefined ? {} : { next_cursor: next }) }, shown);
      if (next !== undefined) terminal.say(`More: add --cursor ${next}`);
      const besides = listing.next?.(items);
      if (besides !== undefined) terminal.say(besides);
      return EXIT.ok;
    },
  };
}

/** As many rows of a listing as `--limit` says, from `--cursor` on. */
export function readListing(
  api: Api,
  input: Input,
  { path, query = {} }: Request,
): Promise<{ items: Item[]; next: string | undefined }> {
  const most = parseCount(input.flag('limit')!, 'limit', MOST);
  return readPages(api, path, { ...query, cursor: input.flag('cursor') }, most);
}
