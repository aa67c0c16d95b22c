/** `npm run docs`: writes the generated pages. With `--check` it fails when a committed page differs. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ERROR_CODES, type ErrorCode } from '../src/base/error.ts';
import { CONNECTION_FLAGS } from '../src/cli/connection.ts';
import { cliReference } from '../src/cli/reference.ts';
import { exitCodeOf } from '../src/cli/report-error.ts';
import { commandTable } from '../src/cmd/commands.ts';
import { PASSPHRASE_FLAGS } from '../src/cmd/passphrase.ts';
import { statusOf } from '../src/rest/problems.ts';

const docs = resolve(import.meta.dirname, '../docs');

function errorPage(): string {
  const codes = Object.entries(ERROR_CODES) as [ErrorCode, string][];
  const rows = codes.map(([code, meaning]) => `| \`${code}\` | ${statusOf(code)} | ${exitCodeOf(code)} | ${meaning} |`);
  return `# Errors

Generated from \`src/base/error.ts\` (\`npm run docs\`); do not edit by hand.

Programs switch on the code: it never changes its meaning. Messages are for people and may change. The status is that of
the problem document (RFC 9457) where the error reaches a REST caller, the exit code that of the command line.

| code | status | exit | meaning |
|---|---|---|---|
${rows.join('\n')}
`;
}

const shared = [
  { title: 'Connection flags', of: 'commands that speak to a server', flags: CONNECTION_FLAGS },
  { title: 'Passphrase flags', of: 'commands that open the sealed keys; at most one', flags: PASSPHRASE_FLAGS },
];
const pages = { 'errors.md': errorPage(), 'cli.md': cliReference(commandTable(), shared) };
let stale = false;
for (const [name, text] of Object.entries(pages)) {
  const path = join(docs, name);
  if (process.argv.includes('--check')) {
    if (existsSync(path) && readFileSync(path, 'utf8') === text) continue;
    process.stderr.write(`docs/${name} is not what the code says: run "npm run docs"\n`);
    stale = true;
  } else writeFileSync(path, text);
}
process.exit(stale ? 1 : 0);
