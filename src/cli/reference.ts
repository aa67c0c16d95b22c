import type { Command, Flag } from './command.ts';

/** Flags that many commands share, told once. */
export interface SharedFlags {
  readonly title: string;
  /** Whose they are, as the rest of a sentence. */
  readonly of: string;
  readonly flags: readonly Flag[];
}

/** `docs/cli.md`, made from the command table; a test fails when the committed page differs. */
export function cliReference(table: readonly Command[], shared: readonly SharedFlags[]): string {
  const commands = byNoun(table);
  const contents = commands.map(
    ({ path, summary }) => `| [\`writ ${path}\`](#${anchor(`writ ${path}`)}) | ${summary} |`,
  );
  const common = shared.map(({ title, of, flags }) => `## ${title}\n\nOf ${of}.\n\n${flagTable(flags)}`);
  return `# Command line

Generated from the command table (\`npm run docs\`); do not edit by hand.

Every command takes \`--json\` (the result as JSON on stdout), \`--quiet\` (results only), \`--no-color\` and \`--help\`; what
changes things takes \`--dry-run\`. Results go to stdout, narration to stderr. \`writ --version\` prints the version.

| exit code | |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | usage: a flag, parameter or file that cannot be used |
| 3 | not found |
| 4 | a certificate is needed, and there is none or no good one |
| 5 | denied: by policy, or because something is revoked, expired or not active |
| 6 | needs an approval |
| 7 | findings: \`doctor\`, \`policy check\`, \`ledger verify\`, \`ledger check-receipt\` found something wrong |
| 8 | conflict: the name is taken, the state is another |

With \`--json\` an error is one object on stderr: \`{"error": {"code", "message", "field", "next", "reasons"}}\`; the codes are
those of [errors.md](errors.md). \`WRIT_DEBUG=1\` adds where in the program it came from.

| command | |
|---|---|
${contents.join('\n')}

${[...common, ...commands.map((command) => section(command, shared))].join('\n\n')}
`;
}

function section(command: Command, shared: readonly SharedFlags[]): string {
  const own = command.flags ?? [];
  const also = shared.filter(({ flags }) => flags.every((flag) => own.includes(flag)));
  const told = new Set(also.flatMap(({ flags }) => flags));
  const flags = own.filter((flag) => !told.has(flag));
  const links = also.map(({ title }) => `[${title.toLowerCase()}](#${anchor(title)})`);
  const usage = ['writ', command.path, ...(command.parameters ?? []).map(parameterText)].join(' ');
  const parameters = (command.parameters ?? []).map(({ name, summary }) => `| \`${name}\` | ${summary} |`);
  return [
    `## writ ${command.path}`,
    `${command.summary}.`,
    ...(command.details === undefined ? [] : [command.details]),
    `\`\`\`\n${usage}${own.length > 0 || command.changes === true ? ' [flags]' : ''}\n\`\`\``,
    ...(parameters.length === 0 ? [] : [['| parameter | meaning |', '|---|---|', ...parameters].join('\n')]),
    ...(flags.length === 0 ? [] : [flagTable(flags)]),
    ...(links.length === 0 && command.changes !== true
      ? []
      : [`Also: ${[...(command.changes === true ? ['`--dry-run`'] : []), ...links].join(', ')}.`]),
    ...(command.examples === undefined ? [] : [exampleBlock(command.examples)]),
  ].join('\n\n');
}

/** Commands of one noun together, nouns in the order of their first command. */
function byNoun(commands: readonly Command[]): readonly Command[] {
  const nouns = [...new Set(commands.map(({ path }) => path.split(' ')[0]!))];
  return nouns.flatMap((noun) => commands.filter(({ path }) => path.split(' ')[0] === noun));
}

function exampleBlock(examples: NonNullable<Command['examples']>): string {
  return `\`\`\`sh\n${examples.map(({ line, does }) => `# ${does}\n${line}`).join('\n\n')}\n\`\`\``;
}

function flagTable(flags: readonly Flag[]): string {
  const rows = flags.map((flag) => `| \`${flagText(flag)}\` | ${flag.summary}${notes(flag)} |`);
  return ['| flag | meaning |', '|---|---|', ...rows].join('\n');
}

/** The link target that Git forges make of a heading. */
function anchor(heading: string): string {
  return heading.toLowerCase().replaceAll(' ', '-');
}

function parameterText({ name, required, rest }: NonNullable<Command['parameters']>[number]): string {
  const text = rest === true ? `${name}...` : name;
  return required === true ? `<${text}>` : `[${text}]`;
}

function flagText(flag: Flag): string {
  return flag.value === undefined ? `--${flag.name}` : `--${flag.name} <${flag.value}>`;
}

function notes(flag: Flag): string {
  const parts = [
    ...(flag.choices === undefined ? [] : [`one of ${flag.choices.join(', ')}`]),
    ...(flag.default === undefined ? [] : [`default ${flag.default}`]),
    ...(flag.environment === undefined ? [] : [`environment ${flag.environment}`]),
    ...(flag.many === true ? ['may be repeated'] : []),
    ...(flag.required === true ? ['required'] : []),
  ];
  return parts.length === 0 ? '' : ` (${parts.join('; ')})`;
}
