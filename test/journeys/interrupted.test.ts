/** `kill -9` between any two steps of making, starting or restoring an installation: running it again finishes it. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { readHierarchy } from '../../src/ca/hierarchy.ts';
import { openSqlite } from '../../src/db/sqlite.ts';
import { type DidNotStart, writ } from '../program.ts';
import { copyInstallation, failureOf, refusalOf, run, type StartOptions, scratchDirectory } from './authority.ts';

const scratch = scratchDirectory();
const HOOK = new URL('./kill-at.ts', import.meta.url).href;

function killedAt(act: number, record?: string): StartOptions {
  return {
    nodeFlags: ['--import', HOOK],
    environment: { WRIT_TEST_KILL_AT: String(act), ...(record === undefined ? {} : { WRIT_TEST_ACTS: record }) },
  };
}

/** The acts of a command that nothing kills, by number: of several alike in a row the first and the last. */
async function actsOf(args: readonly string[]): Promise<number[]> {
  const record = join(scratch, `acts-${args[0]}`);
  const { code, stderr } = await writ(args, killedAt(0, record));
  assert.equal(code, 0, stderr);
  const acts = readFileSync(record, 'utf8').trimEnd().split('\n');
  return acts.flatMap((act, i) => (act === acts[i - 1] && act === acts[i + 1] ? [] : [i + 1]));
}

/** Calls for each, a few at once. */
async function forEach(acts: readonly number[], check: (act: number) => Promise<void>): Promise<void> {
  const left = [...acts];
  const turn = async (): Promise<void> => {
    for (let act = left.shift(); act !== undefined; act = left.shift()) await check(act);
  };
  await Promise.all([turn(), turn(), turn()]);
}

async function authorities(data: string): Promise<string> {
  const reader = openSqlite({ path: join(data, 'writ.db'), readOnly: true });
  const found = await readHierarchy(reader);
  await reader.close();
  return (found?.authorities ?? []).map(({ kind, state }) => `${kind} ${state}`).join();
}

describe('what was cut off', { concurrency: 2 }, () => {
  it('init goes on after every act', async () => {
    const acts = await actsOf(['init', '--data', join(scratch, 'whole')]);
    assert.ok(acts.length > 12);
    const wanted = await authorities(join(scratch, 'whole'));
    await forEach(acts, async (act) => {
      const data = join(scratch, `init-${act}`);
      const args = ['init', '--data', data, '--trust-domain', 'agents.example.com'];
      assert.equal((await writ(args, killedAt(act))).signal, 'SIGKILL');
      const again = await writ(args);
      // When only the last touches were missing, it is said to be there already.
      const there = again.code === 8 && /There is an installation here already/.test(again.stderr);
      assert.ok(again.code === 0 || there, `after act ${act}: ${again.stderr}`);
      assert.equal(await authorities(data), wanted, `after act ${act}`);
    });
  });

  it('the first start goes on with its operator', async () => {
    const made = join(scratch, 'made');
    assert.equal((await writ(['init', '--data', made])).code, 0);
    const record = join(scratch, 'acts-start');
    await (await run(copyInstallation(made, join(scratch, 'start-0')), killedAt(0, record))).server.stop();
    const acts = readFileSync(record, 'utf8').split('\n');
    const credential = acts.findIndex((act) => act.startsWith('writeFileSync') && act.endsWith('operator.json.new'));
    const commit = acts.lastIndexOf('COMMIT', credential);
    assert.ok(commit > 0);
    // Before and after the operator is recorded, and before the credential gets its name.
    for (const act of [commit, credential, credential + 2].map((index) => index + 1)) {
      const data = copyInstallation(made, join(scratch, `start-${act}`));
      const killed = await failureOf(run(data, killedAt(act)));
      assert.equal((killed as DidNotStart).ended.signal, 'SIGKILL');
      // Reading the credential, and asking as that operator, is what `run` does.
      const { get, server } = await run(data);
      assert.equal((await get('/v1/whoami'))['name'], 'admin', `after act ${act}`);
      assert.deepEqual(readdirSync(`${data}-operator`), ['operator.json'], `after act ${act}`);
      await server.kill();
    }
  });

  it('restore begins anew', async () => {
    const made = join(scratch, 'to-restore');
    const backup = join(scratch, 'backup');
    assert.equal((await writ(['init', '--data', made, '--trust-domain', 'agents.example.com'])).code, 0);
    assert.equal((await writ(['backup', backup, '--data', made])).code, 0);
    const acts = await actsOf(['restore', backup, '--data', join(scratch, 'restored')]);
    await forEach(acts, async (act) => {
      const data = join(scratch, `restore-${act}`);
      const args = ['restore', backup, '--data', data];
      assert.equal((await writ(args, killedAt(act))).signal, 'SIGKILL');
      if (existsSync(join(data, 'config.json.restoring'))) {
        const start = await failureOf(run(data));
        assert.match(refusalOf(start), /: A restore into the data directory was cut off/);
      }
      const again = await writ(args);
      assert.equal(again.code, 0, `after act ${act}: ${again.stderr}`);
      assert.equal(await authorities(data), await authorities(made));
      assert.equal(statSync(join(data, 'config.json')).mode & 0o777, 0o600);
      assert.deepEqual(readdirSync(data).sort(), ['config.json', 'writ.db']);
    });
  });
});
