import { WritError } from '../base/error.ts';
import type { Command, Input } from './command.ts';

/** What the parser found. */
interface Found {
  /** The parameters in their order. */
  readonly given: readonly unknown[];
  readonly options: Readonly<Record<string, unknown>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** What the parser found, as a command takes it. What a flag does not say, its variable does, or its default. */
export function toInput(command: Command, { given, options, environment }: Found): Input {
  const parameters: Record<string, string | undefined> = {};
  let rest: readonly string[] = [];
  for (const [index, parameter] of (command.parameters ?? []).entries()) {
    const value = given[index];
    if (parameter.rest === true) rest = (value as string[] | undefined) ?? [];
    else parameters[parameter.name] = value as string | undefined;
  }
  const otherwise = new Map(
    (command.flags ?? []).map((flag) => {
      const value = flag.environment === undefined ? undefined : environment[flag.environment];
      return [flag.name, value === undefined || value === '' ? flag.default : value];
    }),
  );
  const optionOf = (name: string): unknown =>
    options[name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())];
  return {
    parameters,
    rest,
    flag: (name) => {
      const value = optionOf(name);
      return typeof value === 'string' ? value : otherwise.get(name);
    },
    flags: (name) => {
      const value = optionOf(name);
      return Array.isArray(value) ? (value as string[]) : [];
    },
    has: (name) => switchOf(name, optionOf),
    dryRun: options['dryRun'] === true,
    json: options['json'] === true,
  };
}

/** The parser keeps `--no-x` as `x`, true unless it was given. */
function switchOf(name: string, optionOf: (name: string) => unknown): boolean {
  return name.startsWith('no-') ? optionOf(name.slice(3)) === false : optionOf(name) === true;
}

/** For commands: the parameter, or a usage error that names it. */
export function needed(input: Input, name: string): string {
  const value = input.parameters[name];
  if (value !== undefined) return value;
  throw new WritError('bad_request', `${name} is missing`, { field: name, remedy: 'See --help for what goes where.' });
}
