import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from './config/config.ts';
import type { DataDirectory } from './data-directory.ts';

/** What a server notes in its data directory for the commands beside it: flags may have taken it elsewhere than planned. */
export interface Running {
  readonly pid: number;
  readonly listen: Config['listen'];
}

function fileOf({ path }: DataDirectory): string {
  return join(path, 'running.json');
}

export function noteRunning(directory: DataDirectory, running: Running): void {
  const file = fileOf(directory);
  writeFileSync(`${file}.new`, JSON.stringify(running), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

export function forgetRunning(directory: DataDirectory): void {
  rmSync(fileOf(directory), { force: true });
}

/** The server that runs on this directory; undefined where none does, as far as its process tells. */
function findRunning(directory: DataDirectory): Running | undefined {
  try {
    const running = JSON.parse(readFileSync(fileOf(directory), 'utf8')) as Running;
    // Signal 0 is none: it only asks whether the process is there. That it may not be sent means that it is.
    process.kill(running.pid, 0);
    return running;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return undefined;
    return JSON.parse(readFileSync(fileOf(directory), 'utf8')) as Running;
  }
}

/** Where servers on this directory are reached: where one runs, else where one would. */
export function listenOf(config: Config, directory: DataDirectory): Config['listen'] {
  return findRunning(directory)?.listen ?? config.listen;
}
