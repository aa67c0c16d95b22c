/**
 * A command as data. One table of these makes the parser, `--help`, shell completion and `docs/cli.md`.
 *
 * `cli/` holds the commands that speak to a server, `cmd/` those that open the data directory; both hand their table to
 * `program.ts`.
 */
export interface Command {
  /** Noun and verb, e.g. `agent register`; a few stand alone, e.g. `start`. */
  readonly path: string;
  /** One line for `--help`, without a full stop. */
  readonly summary: string;
  /** Paragraphs for the command's own help and the reference. */
  readonly details?: string;
  readonly parameters?: readonly Parameter[];
  readonly flags?: readonly Flag[];
  /** Lines to paste, each with what it does. */
  readonly examples?: readonly { readonly line: string; readonly does: string }[];
  /** True for what changes things: such a command takes `--dry-run` and must honour `input.dryRun`. */
  readonly changes?: boolean;
  run(input: Input, terminal: Terminal): Promise<ExitCode>;
}

interface Parameter {
  readonly name: string;
  readonly summary: string;
  readonly required?: boolean;
  /** Takes all that is left. Only the last parameter may. */
  readonly rest?: boolean;
  /** A program with its arguments: flags behind its name are its own. */
  readonly program?: boolean;
}

export interface Flag {
  /** Long name without dashes, e.g. `owner`. */
  readonly name: string;
  readonly summary: string;
  /** Name of the value; without it the flag is a switch. */
  readonly value?: string;
  readonly default?: string;
  readonly choices?: readonly string[];
  readonly required?: boolean;
  /** May be given several times. */
  readonly many?: boolean;
  /** Read from this environment variable when the flag is absent. Never for secrets: those come from files. */
  readonly environment?: string;
}

/** What was typed, checked against the command's own table: no unknown flag, no missing value, choices kept. */
export interface Input {
  /** Parameters by name. */
  readonly parameters: Readonly<Record<string, string | undefined>>;
  readonly rest: readonly string[];
  /** The value of a flag that takes one, its default, or undefined. */
  flag(name: string): string | undefined;
  flags(name: string): readonly string[];
  /** True when a switch was given. */
  has(name: string): boolean;
  readonly dryRun: boolean;
  readonly json: boolean;
}

/** Where a command writes. Results go to stdout, narration to stderr; with `--json` stdout is one JSON document. */
export interface Terminal {
  /** The result: `json` with `--json`, else `text`. Called at most once by a command. */
  result(json: unknown, text: string): void;
  /** One JSON document a line, for streams. */
  line(json: unknown, text: string): void;
  /** Narration; silent with `--quiet`. */
  say(text: string): void;
  /** Progress of what takes long: a spinner on a terminal, a line now and then elsewhere. */
  progress(text: string): void;
  /**
   * Asks the person at the terminal, who may answer with nothing (Ctrl-C: undefined). Only where `interactive`: what
   * could be asked can be said by a flag, too.
   */
  ask(question: string): Promise<string | undefined>;
  readonly interactive: boolean;
  /** Whether results may be coloured. */
  readonly colour: boolean;
}

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  notAuthenticated: 4,
  denied: 5,
  needsApproval: 6,
  findings: 7,
  conflict: 8,
} as const;

/** One of `EXIT`, or that of a program that was run. */
export type ExitCode = number;
