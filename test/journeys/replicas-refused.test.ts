/** A database server that can lose what it acknowledged, or a clock that is wrong: a replica does not start. */
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { postgresMissing, startPostgres } from '../postgres.ts';
import { faultOf, newSite, type Site } from './replica.ts';

const skip = postgresMissing() ?? false;

for (const [setting, how] of [
  ['fsync', 'server'],
  ['full_page_writes', 'server'],
  ['synchronous_commit', 'database'],
] as const) {
  test(`a database server with ${setting} off is refused in one sentence`, { skip }, async () => {
    const settings = how === 'server' ? { [setting]: 'off' } : {};
    const cluster = how === 'server' ? await startPostgres({ settings }) : undefined;
    const site = await newSite(await cluster?.database());
    if (how === 'database') {
      await site.query(`ALTER DATABASE ${site.address.database} SET ${setting} TO off`);
    }
    const machine = site.machine();
    const fault = await faultOf(machine.start());
    assert.deepEqual([fault.code, fault.field], ['unsafe_database', setting]);
    assert.equal(fault.message, `The database server runs with ${setting} off.`);
    assert.match(fault.next, new RegExp(`ALTER SYSTEM SET ${setting} = on`));
    assert.ok(!existsSync(`${machine.data}-passphrase`), 'nothing was begun');
    assert.deepEqual(await tables(site), []);
    await cluster?.stop('immediate');
  });
}

async function tables(site: Site): Promise<unknown[]> {
  return site.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'");
}

test('a machine whose clock is wrong is refused, and harms nobody', { skip }, async () => {
  const site = await newSite();
  const good = site.machine();
  const wrong = site.machine();
  const shifted = (ms: number): readonly string[] => {
    const file = join(site.scratch, `shift${ms}.mjs`);
    writeFileSync(file, `const now = Date.now; Date.now = () => now() + ${ms};\n`);
    return ['--import', file];
  };
  const hour = 3_600_000;
  for (const [ms, how] of [
    [hour, 'ahead of'],
    [-hour, 'behind'],
  ] as const) {
    const fault = await faultOf(wrong.start({ nodeFlags: shifted(ms) }));
    assert.equal(fault.code, 'clock');
    assert.match(fault.message, new RegExp(`^the clock is 3[56]\\d\\d s ${how} that of the database's machine$`));
    assert.match(fault.next, /^Set the clock of this machine right/);
  }
  assert.deepEqual(await tables(site), [], 'also as the first on an empty database');
  const server = await good.start();
  const late = await faultOf(wrong.start({ nodeFlags: shifted(hour) }));
  assert.equal(late.code, 'clock');
  await (await wrong.start()).stop();
  await server.stop();
});
