import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Why tests with the foreign judge are skipped, or false when it is there. */
export const noOpenssl: string | false =
  spawnSync('openssl', ['version']).status === 0 ? false : 'the openssl command is not installed';

/** Runs openssl in a directory of its own that holds `files`; gives what it wrote, or throws with what it complained. */
export function openssl(args: readonly string[], files: Readonly<Record<string, string | Uint8Array>> = {}): Buffer {
  const directory = mkdtempSync(join(tmpdir(), 'writ-openssl-'));
  try {
    for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, name), content);
    const { status, stdout, stderr } = spawnSync('openssl', args, { cwd: directory });
    if (status !== 0) throw new Error(`openssl ${args[0]}: ${stderr.toString()}${stdout.toString()}`);
    return stdout;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
