import { execFile } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import type { Machine } from './place.ts';

/** Where distributions look for roots of one's own. */
const ANCHORS: Machine['anchors'] = [
  {
    directory: '/usr/local/share/ca-certificates',
    refresh: ['update-ca-certificates'],
    leaves: { links: '/etc/ssl/certs', keyStore: '/etc/ssl/certs/java/cacerts' },
  },
  { directory: '/etc/pki/ca-trust/source/anchors', refresh: ['update-ca-trust', 'extract'] },
  { directory: '/etc/pki/trust/anchors', refresh: ['update-ca-certificates'] },
  { directory: '/etc/ca-certificates/trust-source/anchors', refresh: ['update-ca-trust', 'extract'] },
];

const LONGEST_MS = 60_000;
const MOST_OUTPUT = 4 * 1024 * 1024;

/** The machine on which the command runs. */
export function thisMachine(environment: Readonly<Record<string, string | undefined>> = process.env): Machine {
  const run: Machine['run'] = (program, args, input) =>
    new Promise((resolve, reject) => {
      const child = execFile(program, [...args], { timeout: LONGEST_MS, maxBuffer: MOST_OUTPUT }, (error, stdout) => {
        if (error === null) resolve(stdout);
        else reject(error);
      });
      if (input !== undefined) child.stdin?.end(input);
    });
  return {
    home: homedir(),
    anchors: ANCHORS,
    run,
    async keyStores() {
      const homes = [environment['JAVA_HOME'], javaHome(environment['PATH'] ?? '')];
      const files = homes.filter((home) => home !== undefined).map((home) => join(home, 'lib/security/cacerts'));
      // Many are links to the one of the distribution.
      return [...new Set(files.filter((file) => existsSync(file)).map((file) => realpathSync(file)))];
    },
    async certifi() {
      const found: string[] = [];
      for (const python of ['python3', 'python']) {
        const path = (await run(python, ['-m', 'certifi']).catch(() => '')).trim();
        if (path !== '' && existsSync(path)) found.push(realpathSync(path));
      }
      // Debian's is a link to the system's own, which is put together by its own tool.
      return [...new Set(found)].filter((file) => !file.startsWith('/etc/'));
    },
  };
}

/** The Java whose `keytool` is found first. */
function javaHome(path: string): string | undefined {
  const tool = path
    .split(delimiter)
    .map((directory) => join(directory, 'keytool'))
    .find((file) => existsSync(file));
  return tool === undefined ? undefined : dirname(dirname(realpathSync(tool)));
}
