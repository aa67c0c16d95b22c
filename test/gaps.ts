import { spawnSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';

/** Why a program may be missing anywhere: there is no package of it, and nothing to build it from. */
export const UNSERVED = 'source not served by the module proxy';

/** Notes what this machine cannot test, as one line for the end of the run; with `CI=true` it is a failure there. */
export function noteGap(line: string): void {
  const gaps = process.env['WRIT_TEST_GAPS'];
  if (gaps !== undefined && gaps !== '') appendFileSync(gaps, `${line}\n`);
  else process.stderr.write(`not tested on this machine: ${line}\n`);
}

/** Why a program cannot be used here, noted as a gap; undefined when it is there. `args` make it end at once. */
export function missingProgram(
  program: string,
  args: readonly string[] = ['--version'],
  debianPackage: string = program,
): string | undefined {
  if (spawnSync(program, args).status === 0) return undefined;
  const line = `${program}: not installed (Debian: apt-get install ${debianPackage})`;
  noteGap(line);
  return line;
}
