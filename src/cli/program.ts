import { CommanderError, Option, Command as Parser } from 'commander';
import { WritError } from '../base/error.ts';
import { type Command, EXIT, type ExitCode, type Flag, type Input } from './command.ts';
import { reportError } from './report-error.ts';
import { openTerminal, type Streams, type TerminalOptions } from './terminal.ts';

/**
 * Runs one command line against a table of commands and gives the exit code. Never throws and never exits the process:
 * whatever goes wrong is written to stderr as `error:` and `next:` (with `--json`, as one JSON object).
 */
export async function runProgram(
  commands: readonly Command[],
  argv: readonly string[],
  streams: Streams,
): Promise<ExitCode> {
  let code: ExitCode = EXIT.ok;
  const json = argv.includes('--json');
  const root = buildParser(commands, streams, async (command, input, options) => {
    const terminal = openTerminal(streams, options);
    try {
      code = await command.run(input, terminal);
    } finally {
      terminal.close();
    }
  });
  try {
    await root.parseAsync([...argv], { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    return reportError(error, { json, stderr: streams.stderr, debug: streams.environment['WRIT_DEBUG'] === '1' });
  }
}

type Act = (command: Command, input: Input, options: TerminalOptions) => Promise<void>;

function buildParser(commands: readonly Command[], streams: Streams, act: Act): Parser {
  const root = new Parser('writ');
  root
    .description('Certificate authority and control plane for AI agents.')
    .exitOverride()
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => streams.stdout.write(text),
      writeErr: (text) => streams.stderr.write(text),
      outputError: (text, write) => write(`${text.trimEnd()}\nnext: writ help\n`),
    });
  const groups = new Map<string, Parser>();
  for (const command of commands) {
    const words = command.path.split(' ');
    let parent = root;
    for (const word of words.slice(0, -1)) {
      let group = groups.get(word);
      if (group === undefined) {
        group = parent
          .command(word)
          .description(GROUPS[word] ?? '')
          .exitOverride()
          .copyInheritedSettings(root);
        groups.set(word, group);
      }
      parent = group;
    }
    addCommand(parent, words.at(-1)!, command, act);
  }
  return root;
}

/** What each noun is, for the first page of help. */
const GROUPS: Readonly<Record<string, string>> = {
  agent: 'Agents and services: who exists and who answers for it',
  token: 'Join tokens: how a new instance is let in',
  instance: 'Running instances',
  cert: 'Certificates: issue, renew, revoke, list, who was valid when',
  ca: 'Authorities: hierarchy, rotation, root key, CRLs',
  ledger: 'The tamper-evident log: receipts and verification',
  policy: 'Rules: read, test, publish',
  profile: 'Certificate profiles',
  operator: 'People who may operate this authority',
  passphrase: 'The passphrase that opens the sealed keys',
  completion: 'Shell completion',
};

function addCommand(parent: Parser, name: string, command: Command, act: Act): void {
  const parser = parent.command(name).summary(command.summary).exitOverride();
  parser.description(
    command.details === undefined ? `${command.summary}.` : `${command.summary}.\n\n${command.details}`,
  );
  for (const parameter of command.parameters ?? []) {
    const text = parameter.rest === true ? `${parameter.name}...` : parameter.name;
    parser.argument(parameter.required === true ? `<${text}>` : `[${text}]`, parameter.summary);
    // What follows belongs to the program that is run, flags included.
    if (parameter.rest === true) parser.passThroughOptions();
  }
  for (const flag of command.flags ?? []) parser.addOption(toOption(flag));
  if (command.changes === true) parser.option('--dry-run', 'say what would change, change nothing');
  parser.option('--json', 'print the result as JSON');
  parser.option('--quiet', 'print results only');
  parser.option('--no-color', 'no colour (also NO_COLOR=1)');
  if (command.examples !== undefined) {
    const lines = command.examples.map(({ line, does }) => `  ${line}\n      ${does}`);
    parser.addHelpText('after', `\nExamples:\n${lines.join('\n')}`);
  }
  parser.action(async (...given: unknown[]) => {
    const options = parser.opts<Record<string, unknown>>();
    await act(command, toInput(command, given, options), {
      json: options['json'] === true,
      quiet: options['quiet'] === true,
      colour: options['color'] === false ? false : undefined,
    });
  });
}

function toOption(flag: Flag): Option {
  const option = new Option(
    flag.value === undefined ? `--${flag.name}` : `--${flag.name} <${flag.value}>`,
    flag.summary,
  );
  if (flag.default !== undefined) option.default(flag.default);
  if (flag.environment !== undefined) option.env(flag.environment);
  if (flag.required === true) option.makeOptionMandatory();
  if (flag.many === true) {
    option.argParser((value: string, before: string[] | undefined) => [...(before ?? []), checked(flag, value)]);
  } else if (flag.choices !== undefined) {
    option.choices([...flag.choices]);
  }
  return option;
}

function checked(flag: Flag, value: string): string {
  if (flag.choices !== undefined && !flag.choices.includes(value)) {
    throw new WritError('bad_request', `--${flag.name} does not take this value`, {
      field: `--${flag.name}`,
      remedy: `Use one of: ${flag.choices.join(', ')}.`,
    });
  }
  return value;
}

function toInput(command: Command, given: readonly unknown[], options: Readonly<Record<string, unknown>>): Input {
  const parameters: Record<string, string | undefined> = {};
  let rest: readonly string[] = [];
  for (const [index, parameter] of (command.parameters ?? []).entries()) {
    const value = given[index];
    if (parameter.rest === true) rest = (value as string[] | undefined) ?? [];
    else parameters[parameter.name] = value as string | undefined;
  }
  const optionOf = (name: string): unknown =>
    options[name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())];
  return {
    parameters,
    rest,
    flag: (name) => {
      const value = optionOf(name);
      return typeof value === 'string' ? value : undefined;
    },
    flags: (name) => {
      const value = optionOf(name);
      return Array.isArray(value) ? (value as string[]) : [];
    },
    has: (name) => optionOf(name) === true,
    dryRun: options['dryRun'] === true,
    json: options['json'] === true,
  };
}

/** For commands: the parameter, or a usage error that names it. */
export function needed(input: Input, name: string): string {
  const value = input.parameters[name];
  if (value === undefined) {
    throw new WritError('bad_request', `${name} is missing`, {
      field: name,
      remedy: 'See --help for what goes where.',
    });
  }
  return value;
}
