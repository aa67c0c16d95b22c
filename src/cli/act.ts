import type { Item, WithApi } from './api.ts';
import { type Command, EXIT } from './command.ts';
import { confirmed, YES_FLAG } from './confirm.ts';
import { needed } from './input.ts';

/** What is done to one thing that is named on the command line. */
interface Act {
  /** Noun and verb; the verb is what `--dry-run` says would be done. */
  readonly path: `${string} ${string}`;
  readonly summary: string;
  readonly details?: string;
  readonly parameter: { readonly name: string; readonly summary: string };
  /** The route it is posted to, given the name in the form of a path. */
  readonly route: (name: string) => string;
  /** What a person is told who only wanted to know. */
  readonly would: (name: string) => string;
  /** What a person has to confirm; absent for what can be taken back. */
  readonly question?: (name: string) => string;
  /** What was done, and perhaps what comes next. */
  readonly done: (name: string, answer: Item) => string;
  readonly next?: (name: string) => string;
}

/** A command that posts nothing but a name, as several nouns have them. */
export function actCommand(withApi: WithApi, act: Act): Command {
  const { path, summary, details, parameter, route, would, question, done, next } = act;
  return {
    path,
    summary,
    ...(details === undefined ? {} : { details }),
    parameters: [{ ...parameter, required: true }],
    ...(question === undefined ? {} : { flags: [YES_FLAG] }),
    changes: true,
    async run(input, terminal) {
      const name = needed(input, parameter.name);
      if (input.dryRun) {
        terminal.result({ would: path.slice(path.lastIndexOf(' ') + 1), [parameter.name]: name }, would(name));
        return EXIT.ok;
      }
      if (question !== undefined && !(await confirmed(input, terminal, { what: question(name), name }))) {
        return EXIT.failed;
      }
      const answer: Item = await withApi(input, (api) => api.post(route(encodeURIComponent(name)), {}));
      terminal.result(answer, done(name, answer));
      if (next !== undefined) terminal.say(next(name));
      return EXIT.ok;
    },
  };
}
