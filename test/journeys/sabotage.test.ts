/** The torture bites: it finds whichever promise a server breaks on purpose, and nothing in one that keeps all of them. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { SABOTAGES } from '../torture/options.ts';

const TORTURE = join(import.meta.dirname, '../torture/torture.ts');
/** A kill may come before what is broken was used. A sound torture finds it soon, and the control is run once. */
const TRIES = 3;
/** One kill, after a number of answers: so many whatever the machine is doing beside. */
const BRIEF = ['--engine', 'sqlite', '--kills', '1', '--minutes', '1'];

async function torture(args: readonly string[]): Promise<{ code: number | null; said: string; violations: number }> {
  const child = spawn(process.execPath, [TORTURE, ...BRIEF, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [said, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  const [, kills, violations] = /(?:^|\n)(\d+) kills, (\d+) violations\n$/.exec(said) ?? [];
  assert.equal(kills, '1', said);
  return { code: code as number | null, said, violations: Number(violations) };
}

describe('a brief torture', { concurrency: 2 }, () => {
  for (const sabotage of SABOTAGES) {
    it(`finds ${sabotage}`, async () => {
      const runs: Awaited<ReturnType<typeof torture>>[] = [];
      do runs.push(await torture(['--sabotage', sabotage]));
      while (runs.at(-1)!.violations === 0 && runs.length < TRIES);
      const { code, violations } = runs.at(-1)!;
      assert.ok(violations > 0, runs.map(({ said }) => said).join(''));
      assert.equal(code, 1);
    });
  }

  it('finds nothing where nothing is broken', async () => {
    const { code, said, violations } = await torture([]);
    assert.equal(violations, 0, said);
    assert.equal(code, 0);
  });
});
