/** What whoever has the passphrase and the files of the server's machine does not get alone, once others run it, too. */
import assert from 'node:assert/strict';
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cli, testServer } from '../server.ts';
import { addPeople } from './people.ts';

const server = await testServer({ args: ['--trust-domain', 'agents.example.com'] });

test('groups that come about by themselves take nobody, and a credential that is replaced stays whose it is', async () => {
  const add = (...how: string[]) =>
    server.cli('operator', 'add', 'zoe', '--out', join(server.scratch, 'zoe.json'), ...how);
  for (const group of ['break-glass', 'all-operators', 'Security']) {
    const said = await add('--group', group);
    assert.equal(said.code, 2, said.stderr);
    assert.match(said.stderr, /--group/);
  }
  for (const how of [['--person', 'bob'], ['--program'], ['--email', 'zoe@example.com'], ['--group', 'sre']]) {
    const said = await server.cli('operator', 'add', 'admin', '--replace', ...how);
    assert.equal(said.code, 2, said.stderr);
    assert.match(said.stderr, /stays whose it is/);
  }
});

test('no file makes the first operator’s credential anew', async () => {
  await addPeople(server, ['bob']);
  await server.stop();
  renameSync(server.operator, join(server.scratch, 'aside.json'));
  writeFileSync(`${server.operator}.begun`, '');
  const again = await server.restart();
  assert.deepEqual([existsSync(server.operator), existsSync(`${server.operator}.begun`)], [false, false]);
  const listed = await cli(['operator', 'list', '--json'], {
    operator: join(server.scratch, 'bob.json'),
    server: again.api,
  });
  const { items } = JSON.parse(listed.stdout) as { items: { name: string; serials: string[] }[] };
  assert.deepEqual(
    items.map(({ name, serials }) => [name, serials.length]),
    [
      ['admin', 1],
      ['bob', 1],
    ],
  );
});
