/** The torture that is ended by a signal leaves nothing behind: no server, no database, no point, no directory. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { postgresMissing } from '../postgres.ts';

const TORTURE = join(import.meta.dirname, '../torture/torture.ts');
const skip = process.platform === 'linux' ? false : 'processes are looked up in /proc';

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  it(`after ${signal} nothing of it is left`, { skip }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'writ-ended-'));
    // The database server is another user.
    chmodSync(folder, 0o711);
    const engines = signal === 'SIGINT' || postgresMissing() !== undefined ? ['sqlite'] : ['sqlite', 'postgres'];
    const env: NodeJS.ProcessEnv = { ...process.env, TMPDIR: folder };
    delete env['NODE_TEST_CONTEXT'];
    const args = [TORTURE, '--minutes', '10', ...engines.flatMap((engine) => ['--engine', engine])];
    const torture = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const [said, ended] = [text(torture.stdout), once(torture, 'exit')];
      const wanted = ['src/cmd/main.ts', 'point-process.ts', ...(engines.includes('postgres') ? ['postgres'] : [])];
      for (const until = Date.now() + 120_000; ; await pause(50)) {
        const running = commandsIn(folder);
        if (wanted.every((what) => running.some((command) => command.includes(what)))) break;
        assert.equal(torture.exitCode, null, 'it ended by itself');
        assert.ok(Date.now() < until, `never ran: ${wanted.join(', ')} of ${running.join('; ')}`);
      }
      torture.kill(signal);
      assert.deepEqual(await ended, [signal === 'SIGTERM' ? 143 : 130, null]);
      assert.match(await said, new RegExp(`^ended by ${signal} after \\d+ kills: no result$`, 'm'));
      // The kernel takes a moment to end who was killed.
      for (const until = Date.now() + 10_000; commandsIn(folder).length > 0; await pause(20)) {
        assert.ok(Date.now() < until, `still running: ${commandsIn(folder).join('; ')}`);
      }
      assert.deepEqual(readdirSync(folder), []);
    } finally {
      torture.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    }
  });
}

/** Command lines of the processes that name the directory. */
function commandsIn(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        return '';
      }
    })
    .filter((command) => command.includes(folder));
}
