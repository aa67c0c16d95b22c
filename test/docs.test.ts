/** The pages hold what they say: generated ones are fresh, links lead somewhere, commands exist, dependencies are all told. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';
import { runProgram } from '../src/cli/program.ts';
import { commandTable } from '../src/cmd/commands.ts';

const ROOT = resolve(import.meta.dirname, '..');
const PAGES = globSync(['*.md', 'docs/**/*.md'], { cwd: ROOT }).sort();
const textOf = (page: string): string => readFileSync(join(ROOT, page), 'utf8');

test('generated pages are what the code says', () => {
  const { status, stderr } = spawnSync(process.execPath, ['tools/docs.ts', '--check'], { cwd: ROOT, encoding: 'utf8' });
  assert.equal(stderr, '');
  assert.equal(status, 0);
});

/** The link targets that a page offers, as Git forges make them of its headings. */
function anchorsOf(page: string): Set<string> {
  const headings = withoutCode(textOf(page)).matchAll(/^#{1,6} (.*)$/gm);
  return new Set(
    [...headings].map(([, heading]) =>
      heading!
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

function withoutCode(text: string): string {
  return text.replaceAll(/^```(?:.|\n)*?^```$/gm, '');
}

test('every link between pages leads to a file, and to a heading of it', () => {
  const broken: string[] = [];
  let links = 0;
  for (const page of PAGES) {
    for (const [, target] of withoutCode(textOf(page)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue;
      links += 1;
      const [path, anchor] = target!.split('#') as [string, string | undefined];
      const file = path === '' ? page : relative(ROOT, resolve(ROOT, dirname(page), path));
      const found = existsSync(join(ROOT, file)) && (anchor === undefined || anchorsOf(file).has(anchor));
      if (!found) broken.push(`${page}: ${target}`);
    }
  }
  assert.deepEqual(broken, []);
  assert.ok(links > 50);
});

test('the first page of help says of every noun what it is', async () => {
  let help = '';
  const stdout = { write: (text: string) => (help += text) };
  await runProgram(commandTable(), ['--help'], { stdout, stderr: stdout, stdin: {}, environment: {} });
  const nouns = new Set(commandTable().flatMap(({ path }) => (path.includes(' ') ? [path.split(' ')[0]!] : [])));
  assert.ok(nouns.size > 10);
  const untold = [...nouns].filter((noun) => !new RegExp(`^  ${noun} {2,}[A-Z]`, 'm').test(help));
  assert.deepEqual(untold, []);
});

/** Every `writ …` that stands in code of a page or in a text of the sources, and where. */
function quotedCommands(): { readonly where: string; readonly line: string }[] {
  const found: { where: string; line: string }[] = [];
  const add = (where: string, text: string): void => {
    for (const line of text.split('\n')) {
      const [, command] = /^\s*(?:\$ )?(?:npx |node bin\/)?writ(?:\.js)? (.*)$/.exec(line) ?? [];
      if (command !== undefined) found.push({ where, line: command.split(/ # | \| | && |;/)[0]! });
    }
  };
  for (const page of PAGES.filter((name) => name !== 'docs/cli.md')) {
    const text = textOf(page);
    for (const [, block] of text.matchAll(/^```[a-z]*\n((?:.|\n)*?)^```$/gm)) add(page, block!);
    for (const [, span] of withoutCode(text).matchAll(/`([^`\n]+)`/g)) add(page, span!);
  }
  for (const file of globSync('src/**/*.ts', { cwd: ROOT, exclude: ['**/*.test.ts'] })) {
    for (const [, quoted] of readFileSync(join(ROOT, file), 'utf8').matchAll(/"(writ [a-z][^"\n]*)"/g))
      add(file, quoted!);
  }
  return found;
}

test('every command that a page or a message names exists, with its flags', () => {
  const commands = new Map(commandTable().map((command) => [command.path, command]));
  const quoted = quotedCommands();
  assert.ok(quoted.length > 60);
  const unknown: string[] = [];
  for (const { where, line } of quoted) {
    const [own] = line.split(' -- ');
    const words = own!.split(' ');
    const command = commands.get(words.slice(0, 2).join(' ')) ?? commands.get(words[0]!);
    if (command === undefined) {
      // A noun alone, or the general form, is no command line.
      const general =
        /^(help|COMMAND|--version|<|…)/.test(words[0]!) ||
        [...commands.keys()].some((path) => path.startsWith(`${words[0]} `) && words.length === 1);
      if (!general) unknown.push(`${where}: writ ${line}`);
      continue;
    }
    const known = new Set(['json', 'quiet', 'no-color', 'help', ...(command.changes === true ? ['dry-run'] : [])]);
    for (const { name } of command.flags ?? []) known.add(name);
    for (const [, flag] of own!.matchAll(/(?:^| )--([a-z][a-z-]*)/g)) {
      if (!known.has(flag!)) unknown.push(`${where}: writ ${line} (--${flag})`);
    }
  }
  assert.deepEqual(unknown, []);
});

interface Manifest {
  readonly license: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

interface RootManifest extends Manifest {
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** The packages that come with one, by their places in the lockfile. */
function treeOf(name: string, lock: Readonly<Record<string, Manifest>>): Set<string> {
  const seen = new Set<string>();
  const visit = (place: string): void => {
    if (seen.has(place)) return;
    seen.add(place);
    const { dependencies, optionalDependencies } = lock[place]!;
    for (const needed of Object.keys({ ...dependencies, ...optionalDependencies })) {
      for (let from = place; ; from = from.slice(0, from.lastIndexOf('/node_modules/'))) {
        const nested = `${from}/node_modules/${needed}`;
        if (nested in lock) {
          visit(nested);
          break;
        }
        if (!from.includes('/node_modules/')) {
          visit(`node_modules/${needed}`);
          break;
        }
      }
    }
  };
  visit(`node_modules/${name}`);
  return seen;
}

test('docs/dependencies.md tells every dependency: licence, tree, and the one folder that imports it', () => {
  const manifest = JSON.parse(textOf('package.json')) as RootManifest;
  const lock = (JSON.parse(textOf('package-lock.json')) as { packages: Record<string, Manifest> }).packages;
  const rows = textOf('docs/dependencies.md')
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .map((cell) => cell.trim())
        .slice(1, -1),
    );
  const told = new Map<string, readonly string[]>();
  for (const row of rows) {
    const names = [...row[0]!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
    for (const [i, name] of names.entries()) {
      if (name.includes('/') && !name.startsWith('@')) continue;
      told.set(
        name,
        row.map((cell) => (names.length > 1 ? (cell.split(', ')[i] ?? cell) : cell)),
      );
    }
  }
  const { dependencies = {}, devDependencies, optionalDependencies = {} } = manifest;
  assert.deepEqual(
    [...told.keys()].sort(),
    Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies }).sort(),
  );
  const imports = importedPackages();
  for (const [name, [, why, keeper, licence, tree, , folder]] of told) {
    const place = lock[`node_modules/${name}`];
    assert.ok(why!.length > 4 && keeper!.length > 2, name);
    assert.equal(licence, place!.license, name);
    assert.equal(Number(tree), treeOf(name, lock).size - 1, `${name}: tree`);
    if (!(name in dependencies)) continue;
    assert.deepEqual([...(imports.get(name) ?? [])], [folder!.replaceAll(/[`/]/g, '')], name);
  }
  assert.deepEqual([...imports.keys()].sort(), Object.keys(dependencies).sort());
});

/** Which folders of `src` import which packages; tests aside, which may use what helps them. */
function importedPackages(): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const file of globSync('src/**/*.ts', { cwd: ROOT, exclude: ['**/*.test.ts', '**/testdata/**'] })) {
    const text = readFileSync(join(ROOT, file), 'utf8');
    for (const [, from] of text.matchAll(/(?:^import|^\} from|^import .* from|\bimport\() ?'([^']+)'/gm)) {
      if (from!.startsWith('.') || from!.startsWith('node:')) continue;
      const name = from!
        .split('/')
        .slice(0, from!.startsWith('@') ? 2 : 1)
        .join('/');
      found.set(name, (found.get(name) ?? new Set()).add(file.split('/')[1]!));
    }
  }
  return found;
}
