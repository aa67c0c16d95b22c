import type { Command, Flag } from './command.ts';

/** `docs/cli.md`, made from the command table; a test fails when the committed page differs. */
export function cliReference(commands: readonly Command[]): string {
  const sections = commands.map((command) => {
    const usage = ['writ', command.path, ...(command.parameters ?? []).map(parameterText)].join(' ');
    const flags = [
      ...(command.flags ?? []).map((flag) => `| \`${flagText(flag)}\` | ${flag.summary}${notes(flag)} |`),
      ...(command.changes === true ? ['| `--dry-run` | say what would change, change nothing |'] : []),
    ];
    return [
      `## writ ${command.path}`,
      `${command.summary}.`,
      ...(command.details === undefined ? [] : [command.details]),
      `\`\`\`\n${usage}${flags.length > 0 ? ' [flags]' : ''}\n\`\`\``,
      ...(flags.length === 0 ? [] : [['| flag | meaning |', '|---|---|', ...flags].join('\n')]),
      ...(command.examples ?? []).map(({ line, does }) => `- \`${line}\` ${does}`),
    ].join('\n\n');
  });
  return `# Command line

Generated from the command table (\`npm run docs\`); do not edit by hand.

Every command takes \`--json\` (the result as JSON on stdout), \`--quiet\`, \`--no-color\` and \`--help\`. Results go to stdout,
narration to stderr. Exit codes: 0 done; 1 failed; 2 usage; 3 not found; 4 certificate needed; 5 denied by policy;
6 needs an approval; 7 findings (\`doctor\`, \`ledger verify\`); 8 conflict.

${sections.join('\n\n')}
`;
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
