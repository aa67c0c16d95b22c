import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { missingProgram } from '../../test/gaps.ts';
import { cli } from '../../test/server.ts';
import { commandTable } from '../cmd/commands.ts';

const folder = mkdtempSync(join(tmpdir(), 'writ-completion-'));
after(() => rmSync(folder, { recursive: true }));

async function script(shell: string): Promise<string> {
  const { code, stdout } = await cli(['completion', shell]);
  assert.equal(code, 0);
  const file = join(folder, shell);
  writeFileSync(file, stdout);
  return file;
}

/** Why a shell cannot be tested here; false when it can. */
function missing(shell: string): string | false {
  return missingProgram(shell, ['-c', 'true']) ?? false;
}

/** What bash would offer behind a line: the last word is the one that is being typed. */
function completeBash(file: string, line: string): string[] {
  const words = line.split(' ');
  const quoted = words.map((word) => `'${word}'`).join(' ');
  const program = `source '${file}'; COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _writ; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { status, stdout, stderr } = spawnSync('bash', ['--norc', '-c', program], { encoding: 'utf8' });
  assert.deepEqual([status, stderr], [0, ''], line);
  return stdout.split('\n').filter(Boolean);
}

const AGENT_VERBS = commandTable()
  .map(({ path }) => path.split(' '))
  .filter(([noun]) => noun === 'agent')
  .map(([, verb]) => verb!);

test('bash completes nouns, verbs, flags and fixed values', { skip: missing('bash') }, async () => {
  const file = await script('bash');
  const offers = (line: string): string[] => completeBash(file, line);
  const nouns = [...new Set(commandTable().map(({ path }) => path.split(' ')[0]!))];
  assert.deepEqual(offers('writ ').sort(), [...nouns, 'help'].sort());
  assert.deepEqual(offers('writ ag'), ['agent']);
  assert.deepEqual(offers('writ agent '), AGENT_VERBS);
  assert.deepEqual(offers('writ agent re').sort(), ['register', 'retire']);
  assert.ok(offers('writ agent register planner --t').includes('--team'));
  assert.deepEqual(offers('writ agent list --status '), ['active', 'quarantined', 'retired']);
  assert.deepEqual(offers('writ agent list --status q'), ['quarantined']);
  assert.deepEqual(offers('writ agent list --team payments --st'), ['--status']);
  assert.ok(offers('writ cert revoke 01ab --cause ').includes('key_theft'));
  assert.deepEqual(offers('writ trace 01ab --rec'), ['--receipts']);
  assert.deepEqual(offers('writ completion '), ['bash', 'zsh', 'fish']);
  // Files, by the shell itself.
  assert.deepEqual(offers('writ agent list --operator '), []);
  assert.deepEqual(offers('writ run --agent planner -- '), []);
});

test('bash completes every command and every flag of it', { skip: missing('bash') }, async () => {
  const file = await script('bash');
  // One shell for all of them: a shell for each would take a while.
  const asks = commandTable().map(({ path }) => {
    const words = ['writ', ...path.split(' '), '--'];
    return `COMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}; _writ; echo "\${COMPREPLY[*]}"`;
  });
  // A lone `--` ends flags, so a prefix of them is asked for in its place.
  const program = `source '${file}'; ${asks.join('\n').replaceAll(' --)', ' --h)')}`;
  const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', program], { encoding: 'utf8' });
  assert.equal(stderr, '');
  for (const [index, line] of stdout.trimEnd().split('\n').entries()) {
    assert.ok(line.split(' ').includes('--help'), commandTable()[index]!.path);
  }
});

for (const shell of ['zsh', 'fish']) {
  test(`${shell} reads its script`, { skip: missing(shell) }, async () => {
    const { status, stderr } = spawnSync(shell, ['-n', await script(shell)], { encoding: 'utf8' });
    assert.deepEqual([status, stderr], [0, '']);
  });
}

/** What the script hands to zsh's own completion, and "files" where that is zsh's to do. Zsh chooses by prefix itself. */
function completeZsh(file: string, line: string): string[] {
  const words = line.split(' ');
  const quoted = words.map((word) => `'${word}'`).join(' ');
  const program = `compdef() { :; }; compadd() { shift; print -l -- "$@"; }; _files() { print files; }
source '${file}'; words=(${quoted}); CURRENT=${words.length}; _writ`;
  const { status, stdout, stderr } = spawnSync('zsh', ['-f', '-c', program], { encoding: 'utf8' });
  assert.deepEqual([status, stderr], [0, ''], line);
  return stdout.split('\n').filter(Boolean);
}

test('zsh completes nouns, verbs, flags and fixed values', { skip: missing('zsh') }, async () => {
  const file = await script('zsh');
  const offers = (line: string): string[] => completeZsh(file, line);
  const nouns = [...new Set(commandTable().map(({ path }) => path.split(' ')[0]!))];
  assert.deepEqual(offers('writ ag').sort(), [...nouns, 'help'].sort());
  assert.deepEqual(offers('writ agent '), AGENT_VERBS);
  assert.ok(offers('writ agent register planner --t').includes('--team'));
  assert.deepEqual(offers('writ agent list --status q'), ['active', 'quarantined', 'retired']);
  assert.deepEqual(offers('writ completion '), ['bash', 'zsh', 'fish']);
  for (const line of ['writ agent list --operator ', 'writ run --agent planner -- ', 'writ ca import ']) {
    assert.deepEqual(offers(line), ['files'], line);
  }
});

test('fish completes nouns, verbs, flags, fixed values and files', { skip: missing('fish') }, async () => {
  const file = await script('fish');
  const offers = (line: string): string[] => {
    const ask = `source '${file}'; complete -C '${line}'`;
    const ran = spawnSync('fish', ['--no-config', '-c', ask], { encoding: 'utf8', cwd: folder });
    assert.deepEqual([ran.status, ran.stderr], [0, ''], line);
    return ran.stdout.split('\n').flatMap((offer) => (offer === '' ? [] : [offer.split('\t')[0]!]));
  };
  assert.deepEqual(offers('writ ag'), ['agent']);
  assert.deepEqual(offers('writ agent re'), ['register', 'retire']);
  assert.deepEqual(offers('writ agent register planner --t'), ['--team']);
  assert.deepEqual(offers('writ agent list --status q'), ['quarantined']);
  assert.deepEqual(offers('writ completion '), ['bash', 'fish', 'zsh']);
  writeFileSync(join(folder, 'chain.pem'), '');
  for (const line of ['writ ca import ch', 'writ agent list --operator ch'])
    assert.deepEqual(offers(line), ['chain.pem']);
});

test('scripts of the other shells are quoted soundly', async () => {
  for (const shell of ['zsh', 'fish']) {
    const { stdout } = await cli(['completion', shell]);
    for (const line of stdout.split('\n').filter((one) => one.startsWith('complete '))) {
      assert.equal(line.replaceAll(`'\\''`, '').split(`'`).length % 2, 1, line);
    }
  }
});

test('a shell that nobody knows is a usage error', async () => {
  const { code, stderr } = await cli(['completion', 'tcsh']);
  assert.equal(code, 2);
  assert.match(stderr, /next: Use one of: bash, zsh, fish\./);
});
