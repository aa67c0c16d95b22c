/**
 * Loaded with `--import` into the real program: kills it with SIGKILL just before the n-th act of its main thread that
 * outlives it, where `WRIT_TEST_KILL_AT` is n: a directory or file that is made, renamed or written, a commit. With
 * `WRIT_TEST_ACTS` it writes down, in that file, which acts there were.
 */
import { appendFileSync } from 'node:fs';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { StatementSync } from 'node:sqlite';
import { isMainThread } from 'node:worker_threads';

const ACTS = ['mkdirSync', 'writeFileSync', 'renameSync', 'openSync', 'chmodSync'] as const;
const LATER_ACTS = ['mkdir', 'open', 'link', 'rename', 'writeFile', 'chmod'] as const;

type Anything = Record<string, (...given: unknown[]) => unknown>;

if (isMainThread) {
  const killAt = Number(process.env['WRIT_TEST_KILL_AT']);
  const record = process.env['WRIT_TEST_ACTS'];
  const write = appendFileSync;
  let acts = 0;
  let recording = false;
  const act = (what: string): void => {
    if (recording) return;
    acts++;
    recording = true;
    if (record !== undefined) write(record, `${what}\n`);
    recording = false;
    if (acts === killAt) process.kill(process.pid, 'SIGKILL');
  };
  const spy = (module: Anything, names: readonly string[]): void => {
    for (const name of names) {
      const real = module[name]!;
      module[name] = (...given) => {
        const flag = name.startsWith('open') ? given[1] : 'w';
        if (flag !== 'r' && flag !== 0 && flag !== undefined) act(`${name} ${String(given[0])}`);
        return real.apply(module, given);
      };
    }
  };
  const fs = createRequire(import.meta.url)('node:fs') as Anything & { promises: Anything };
  spy(fs, ACTS);
  spy(fs.promises, LATER_ACTS);
  syncBuiltinESMExports();
  const run = StatementSync.prototype.run;
  StatementSync.prototype.run = function (this: StatementSync, ...given: Parameters<typeof run>) {
    if (this.sourceSQL === 'COMMIT') act('COMMIT');
    return run.apply(this, given);
  } as typeof run;
}
