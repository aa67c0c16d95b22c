import type { Item, WithApi } from './api.ts';
import { type Command, EXIT, type Input } from './command.ts';

interface Showing {
  readonly path: string;
  readonly summary: string;
  /** What names the one thing. */
  readonly parameter: NonNullable<Command['parameters']>[number];
  /** Its route. */
  readonly at: (input: Input) => string;
  readonly text: (item: Item) => string;
}

/** A command that shows one thing: for people as `text` has it, with `--json` as the server does. */
export function showCommand(withApi: WithApi, { path, summary, parameter, at, text }: Showing): Command {
  return {
    path,
    summary,
    parameters: [parameter],
    async run(input, terminal) {
      const item = await withApi(input, (api) => api.get(at(input)));
      terminal.result(item, text(item));
      return EXIT.ok;
    },
  };
}
