import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { inspect } from 'node:util';
import { isWritError, WritError } from '../base/error.ts';
import { systemRandom } from '../base/random.ts';
import { makePassphrase, type Passphrase, parsePassphrase } from './passphrase.ts';
import { keepPassphrase, openWithFile, promotePassphrase, stagePassphrase } from './passphrase-file.ts';
import { type PassphraseSource, readPassphrase } from './passphrase-source.ts';

const CANARY = 'canary passphrase 4711';
const folder = await mkdtemp(join(tmpdir(), 'writ-passphrase-'));
after(() => rm(folder, { recursive: true }));

const textOf = (passphrase: Passphrase): string => passphrase.reveal().toString();

test('a passphrase that Writ made is 130 bits, in a form that reads back', () => {
  const made = textOf(makePassphrase(systemRandom()));
  assert.match(made, /^[0-9a-hjkmnp-tv-z]{7}-[0-9a-hjkmnp-tv-z]{6}-[0-9a-hjkmnp-tv-z]{7}-[0-9a-hjkmnp-tv-z]{6}$/);
  assert.notEqual(textOf(makePassphrase(systemRandom())), made);
  assert.equal(textOf(parsePassphrase(Buffer.from(`${made}\n`), 'x')), made);
});

test('it shows itself to nobody who prints, logs, serialises or copies it', () => {
  const passphrase = parsePassphrase(Buffer.from(CANARY), 'x');
  const shown = [
    String(passphrase),
    `${inspect(passphrase, { showHidden: true, depth: null })}`,
    JSON.stringify({ passphrase }),
    JSON.stringify(structuredClone({ ...passphrase })),
    inspect(new Error('x', { cause: passphrase })),
  ].join();
  assert.ok(!shown.includes('canary') && !shown.includes('99, 97'), shown);
});

test('what a passphrase may be', () => {
  const good: [string, string][] = [
    ['twelve chars', 'twelve chars'],
    ['twelve chars\n', 'twelve chars'],
    ['twelve chars\r\n', 'twelve chars'],
    [' spaces stay ', ' spaces stay '],
    ['ümläut-é-日本', 'ümläut-é-日本'],
    ['a'.repeat(1024), 'a'.repeat(1024)],
  ];
  for (const [given, want] of good) assert.equal(textOf(parsePassphrase(Buffer.from(given), 'x')), want);
  const bad = ['', '\n', 'eleven char', 'two lines of\ntext', 'twelve chars\n\n', 'nul\0 inside it', 'a'.repeat(1025)];
  for (const text of [...bad.map((text) => Buffer.from(text)), Buffer.from('ff'.repeat(20), 'hex')]) {
    assert.throws(
      () => parsePassphrase(text, '--passphrase-file'),
      (error) => isWritError(error, 'bad_config') && error.field === '--passphrase-file' && error.remedy !== undefined,
    );
  }
});

test('from an owner-only file; others are refused with the command to run', async () => {
  const path = join(folder, 'file');
  await writeFile(path, `${CANARY}\n`);
  await chmod(path, 0o400);
  assert.equal(textOf(await readPassphrase({ kind: 'file', path }, {})), CANARY);
  for (const mode of [0o440, 0o604, 0o620, 0o601]) {
    await chmod(path, mode);
    const error = await refusal({ kind: 'file', path });
    assert.equal(error.code, 'unsafe_permissions');
    assert.equal(error.remedy, `Run: chmod 600 '${path}'`);
  }
  assert.equal((await refusal({ kind: 'file', path: join(folder, 'absent') })).code, 'not_found');
  assert.equal((await refusal({ kind: 'file', path: folder })).code, 'bad_config');
});

test('a link to a file that others can read is as unsafe as the file', async () => {
  const [path, link] = [join(folder, 'open'), join(folder, 'link')];
  await writeFile(path, CANARY, { mode: 0o644 });
  await symlink(path, link);
  assert.equal((await refusal({ kind: 'file', path: link })).code, 'unsafe_permissions');
});

test('a file of another user is refused, also when only root can tell', {
  skip: process.getuid?.() !== 0,
}, async () => {
  const path = join(folder, 'foreign');
  await writeFile(path, CANARY, { mode: 0o600 });
  execFileSync('chown', ['65534', path]);
  assert.equal((await refusal({ kind: 'file', path })).code, 'unsafe_permissions');
});

test('from a descriptor, as a shell hands it over', () => {
  const script = `
    import { readPassphrase } from ${JSON.stringify(join(import.meta.dirname, 'passphrase-source.ts'))};
    const passphrase = await readPassphrase({ kind: 'descriptor', descriptor: 3 }, {});
    process.stdout.write(passphrase.reveal());`;
  const run = (redirect: string): string =>
    execFileSync('bash', ['-c', `exec "$0" --input-type=module -e "$1" ${redirect}`, process.execPath, script], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  assert.equal(run(`3< <(echo '${CANARY}')`), CANARY);
  assert.equal(run(`3<<< '${CANARY}'`), CANARY);
});

test('from a descriptor that somebody else opened, who may read what this user may not', {
  skip: process.getuid?.() !== 0,
}, async () => {
  const path = join(folder, 'of-root');
  await writeFile(path, `${CANARY}\n`, { mode: 0o600 });
  const script = `
    process.setgid(65534);
    process.setuid(65534);
    const { readPassphrase } = await import(${JSON.stringify(join(import.meta.dirname, 'passphrase-source.ts'))});
    for (let times = 0; times < TIMES; times++) {
      const passphrase = await readPassphrase({ kind: 'descriptor', descriptor: 3 }, {});
      process.stdout.write(passphrase.reveal());
    }`;
  const run = (redirect: string, times: number): string => {
    const lines = script.replace('TIMES', String(times));
    const node = ['-c', `exec "$0" --input-type=module -e "$1" ${redirect}`, process.execPath, lines];
    return execFileSync('bash', node, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  };
  assert.equal(run(`3<'${path}'`, 2), CANARY + CANARY);
  assert.equal(run(`3< <(cat '${path}')`, 1), CANARY);
});

test('descriptors that cannot be it', async () => {
  for (const descriptor of [0, 1, 2, -1, 2.5, 1024, Number.NaN]) {
    assert.equal((await refusal({ kind: 'descriptor', descriptor })).code, 'bad_config');
  }
  assert.equal((await refusal({ kind: 'descriptor', descriptor: 1023 })).code, 'not_found');
});

test('from the environment, which does not keep it', async () => {
  const environment: Record<string, string | undefined> = { WRIT_PASSPHRASE: CANARY };
  const source = { kind: 'environment', variable: 'WRIT_PASSPHRASE' } as const;
  assert.equal(textOf(await readPassphrase(source, environment)), CANARY);
  assert.ok(!('WRIT_PASSPHRASE' in environment));
  assert.equal((await refusal(source)).code, 'not_found');
});

test('from a systemd credential, whatever modes systemd gave it', async () => {
  const directory = join(folder, 'credentials');
  await mkdir(directory);
  await writeFile(join(directory, 'writ'), CANARY, { mode: 0o440 });
  const environment = { CREDENTIALS_DIRECTORY: directory };
  assert.equal(textOf(await readPassphrase({ kind: 'credential', name: 'writ' }, environment)), CANARY);
  for (const name of ['../file', 'a/b', '..', '.', '']) {
    assert.equal((await refusal({ kind: 'credential', name }, environment)).code, 'bad_config', name);
  }
  assert.equal((await refusal({ kind: 'credential', name: 'other' }, environment)).code, 'not_found');
  assert.equal((await refusal({ kind: 'credential', name: 'writ' })).code, 'not_found');
});

test('too much of anything is refused unread, and no error holds what was read', async () => {
  const path = join(folder, 'long');
  await writeFile(path, CANARY.repeat(1000), { mode: 0o600 });
  assert.equal((await refusal({ kind: 'file', path })).code, 'bad_config');
  await writeFile(path, `${CANARY}\n${CANARY}`);
  assert.equal((await refusal({ kind: 'file', path })).code, 'bad_config');
});

test('the file of a passphrase that was made: owner-only whatever the umask, never overwritten', async () => {
  const path = join(folder, 'made');
  const passphrase = makePassphrase(systemRandom());
  const umask = process.umask(0);
  await keepPassphrase(path, passphrase);
  process.umask(umask);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.equal(textOf(await readPassphrase({ kind: 'file', path }, {})), textOf(passphrase));
  await assert.rejects(keepPassphrase(path, passphrase), (error) => isWritError(error, 'conflict'));
});

test('a change of passphrase survives a crash between file and database, on either side', async () => {
  const path = join(folder, 'changed');
  const [before, after] = [makePassphrase(systemRandom()), makePassphrase(systemRandom())];
  let inDatabase = textOf(before);
  const open = () =>
    openWithFile(path, async (passphrase) => {
      if (textOf(passphrase) !== inDatabase) throw new WritError('wrong_passphrase', 'no');
      return 'open';
    });
  await keepPassphrase(path, before);
  await stagePassphrase(path, after);
  assert.equal(await open(), 'open');
  assert.equal((await readFile(path, 'utf8')).trim(), textOf(before));
  inDatabase = textOf(after);
  assert.equal(await open(), 'open');
  assert.equal((await readFile(path, 'utf8')).trim(), textOf(after));

  await stagePassphrase(path, before);
  await stagePassphrase(path, before);
  await promotePassphrase(path);
  await assert.rejects(open(), (error) => isWritError(error, 'wrong_passphrase'));
});

async function refusal(
  source: PassphraseSource,
  environment: Record<string, string | undefined> = {},
): Promise<WritError> {
  try {
    await readPassphrase(source, environment);
  } catch (error) {
    assert.ok(error instanceof WritError, String(error));
    assert.ok(!inspect(error, { depth: null }).includes('canary'));
    return error;
  }
  assert.fail('not refused');
}
