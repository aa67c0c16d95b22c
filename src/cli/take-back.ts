import type { Api, Item, WithApi } from './api.ts';
import { type Command, EXIT, type Input } from './command.ts';

interface TakingBack {
  /** Noun and verb. `--json` has the thing under the noun with `--dry-run`, and the verb as what would be done. */
  readonly path: `${string} ${string}`;
  readonly summary: string;
  readonly details: string;
  /** What names the one thing. */
  readonly parameter: NonNullable<Command['parameters']>[number];
  /** Its route. */
  readonly at: (input: Input) => string;
  readonly text: (item: Item) => string;
  /** Gives it as it was, or is now. */
  readonly act: (api: Api, at: string) => Promise<Item>;
  readonly done: (item: Item) => string;
}

/** A command that takes back what somebody made, so that it lets nobody in any more; whom it let in stays. */
export function takeBackCommand(withApi: WithApi, taking: TakingBack): Command {
  const { path, summary, details, parameter, at, text, act, done } = taking;
  const [noun, verb] = path.split(' ') as [string, string];
  return {
    path,
    summary,
    details,
    parameters: [parameter],
    changes: true,
    run: (input, terminal) =>
      withApi(input, async (api) => {
        if (input.dryRun) {
          const item = await api.get(at(input));
          terminal.result({ would: verb, [noun]: item }, `Would ${verb}:\n${text(item)}`);
          return EXIT.ok;
        }
        const item = await act(api, at(input));
        terminal.result(item, done(item));
        return EXIT.ok;
      }),
  };
}
