import { CommanderError, Option, Command as Parser } from 'commander';
import { WritError } from '../base/error.ts';
import { type Command, EXIT, type ExitCode, type Flag, type Input } from './command.ts';
import { toInput } from './input.ts';
import { reportError } from './report-error.ts';
import { openTerminal, type Streams, type TerminalOptions, usesColour } from './terminal.ts';

/**
 * Runs one command line against a table of commands and gives the exit code. Never throws and never exits the process:
 * whatever goes wrong is written to stderr as `error:` and `next:` (with `--json`, as one JSON object).
 */
export async function runProgram(
  commands: readonly Command[],
  argv: readonly string[],
  streams: Streams,
  version = '',
): Promise<ExitCode> {
  let code: ExitCode = EXIT.ok;
  let ran: Command | undefined;
  const { root, groups } = buildParser(commands, version, streams, async (command, input, options) => {
    ran = command;
    const terminal = openTerminal(streams, options);
    try {
      code = await command.run(input, terminal);
    } finally {
      terminal.close();
    }
  });
  // A noun alone asks what can be done with it; `help a b` is `a b --help`, which the parser knows for one word only.
  const noun = argv.length === 0 ? root : groups.get(argv.join(' '));
  if (noun !== undefined) noun.outputHelp();
  else {
    try {
      await root.parseAsync(argv[0] === 'help' ? [...argv.slice(1), '--help'] : [...argv], { from: 'user' });
    } catch (error) {
      if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok;
      const own = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv;
      return reportError(error instanceof CommanderError ? usageError(error, argv, [...groups.keys()]) : error, {
        json: own.includes('--json'),
        stderr: streams.stderr,
        debug: streams.environment['WRIT_DEBUG'] === '1',
        command: ran,
        colour: usesColour(streams.stderr, streams, own.includes('--no-color') ? false : undefined),
      });
    }
  }
  return code;
}

/** What the parser says, as an error like any other. */
function usageError({ message }: CommanderError, argv: readonly string[], groups: readonly string[]): WritError {
  const [fault, hint] = message.replace(/^error: /, '').split('\n');
  const words = argv.slice(0, argv.findIndex((word) => word.startsWith('-')) >>> 0);
  const noun = groups.includes(words[0] ?? '') || words.length === 1 ? words.slice(0, 2) : words.slice(0, 1);
  const known = fault!.startsWith('unknown command') ? noun.slice(0, -1) : noun;
  const help = `See: writ ${[...known, '--help'].join(' ')}`;
  const meant = /\(Did you mean (.*)\?\)/.exec(hint ?? '')?.[1];
  return new WritError('bad_request', capital(fault!), {
    remedy: meant === undefined ? help : `Did you mean ${meant}? ${help}`,
  });
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

type Act = (command: Command, input: Input, options: TerminalOptions) => Promise<void>;

interface Means {
  readonly act: Act;
  readonly environment: Streams['environment'];
}

function buildParser(
  commands: readonly Command[],
  version: string,
  streams: Streams,
  act: Act,
): { readonly root: Parser; readonly groups: ReadonlyMap<string, Parser> } {
  const root = new Parser('writ');
  root
    .description('Certificate authority and control plane for AI agents.')
    .version(version, '--version', 'print the version')
    .exitOverride()
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .helpCommand(false)
    .addHelpText('after', '\nSee "writ COMMAND --help" for the rest, docs/cli.md for all of it.')
    .configureOutput({
      writeOut: (text) => streams.stdout.write(text),
      writeErr: () => undefined,
      outputError: () => undefined,
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
          .helpCommand(false)
          .copyInheritedSettings(root);
        groups.set(word, group);
      }
      parent = group;
    }
    addCommand(parent, words.at(-1)!, command, { act, environment: streams.environment });
  }
  return { root, groups };
}

/** What each noun is, for the first page of help. */
const GROUPS: Readonly<Record<string, string>> = {
  agent: 'Agents: which exist and who answers for them',
  service: 'Services: the same for programs that are no agents',
  owner: 'Teams that answer for agents and services',
  token: 'Join tokens: how a new instance is let in',
  attestor: 'Sources of evidence by which instances are let in without a token',
  entry: 'Registration entries: who is let in on which evidence',
  instance: 'Running instances',
  cert: 'Certificates: issue, replace, revoke, list, who was valid when',
  stop: 'The cord: stop or quarantine what runs, and see what was stopped',
  canary: 'Canaries: how fast stops take effect, found out by trying',
  feed: 'The revocation feed, served on to programs that do not reach the authority',
  signals: 'Shared Signals: which systems are told of stops',
  federation: 'Other trust domains whose SVIDs are believed',
  trust: 'Trust in the root by this machine’s own programs',
  domain: 'Further trust domains whose roots lie here',
  approval: 'Approvals: what was asked, and your answer',
  'break-glass': 'Emergency access that others grant, and its review',
  ca: 'Authorities: hierarchy, rotation, root key, CRLs',
  ledger: 'The tamper-evident log: entries, receipts, verification',
  policy: 'Rules: read, check, publish',
  profile: 'Certificate profiles',
  operator: 'People who may operate this authority',
  group: 'Groups: whose approval counts',
  passphrase: 'The passphrase that opens the sealed keys',
};

function addCommand(parent: Parser, name: string, command: Command, { act, environment }: Means): void {
  const parser = parent.command(name).summary(command.summary).copyInheritedSettings(parent);
  parser.description(
    command.details === undefined ? `${command.summary}.` : `${command.summary}.\n\n${command.details}`,
  );
  for (const parameter of command.parameters ?? []) {
    const text = parameter.rest === true ? `${parameter.name}...` : parameter.name;
    parser.argument(parameter.required === true ? `<${text}>` : `[${text}]`, parameter.summary);
    // What follows belongs to the program that is run, flags included.
    if (parameter.program === true) parser.passThroughOptions();
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
    await act(command, toInput(command, { given, options, environment }), {
      json: options['json'] === true,
      quiet: options['quiet'] === true,
      colour: options['color'] === false ? false : undefined,
    });
  });
}

function toOption(flag: Flag): Option {
  const option = new Option(
    flag.value === undefined ? `--${flag.name}` : `--${flag.name} <${flag.value}>`,
    [flag.summary, ...notesOf(flag)].join(' '),
  );
  if (flag.required === true) option.makeOptionMandatory();
  if (flag.many === true) {
    option.argParser((value: string, before: string[] | undefined) => [...(before ?? []), checked(flag, value)]);
  } else if (flag.choices !== undefined) {
    option.choices([...flag.choices]);
  }
  return option;
}

function notesOf({ required, many, environment, default: usual }: Flag): readonly string[] {
  return [
    ...(required === true ? ['(required)'] : []),
    ...(many === true ? ['(may be repeated)'] : []),
    ...(usual === undefined ? [] : [`(default: ${usual})`]),
    ...(environment === undefined ? [] : [`(or ${environment})`]),
  ];
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
