/** A policy set that lets nobody do anything, published by mistake where several people run the installation. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cli, testServer } from '../server.ts';
import { addPeople, administer, asked } from './people.ts';

const server = await testServer();
const file = (name: string, text: string): string => {
  const path = join(server.scratch, name);
  writeFileSync(path, text);
  return path;
};

test('two people agree to the set that follows it, over the network, and nobody does it alone', async () => {
  const { text } = await server.json<{ text: string }>('policy', 'show');
  const nothing = '@id("nothing") @description("Nobody does anything.") forbid (principal, action, resource);';
  const [good, bad] = [file('good.cedar', text), file('bad.cedar', `${text}\n${nothing}\n`)];
  await addPeople(server, ['bob']);
  const bob = join(server.scratch, 'bob.json');
  const as = (operator: string, ...argv: string[]) => cli([...argv, '--json'], { operator, server: server.api });
  const mistake = await administer(server, ['policy', 'publish', bad], [server.operator, bob]);
  assert.equal(mistake.code, 0, mistake.stderr);
  for (const argv of [
    ['agent', 'list'],
    ['approval', 'list'],
    ['policy', 'publish', good],
  ]) {
    assert.notEqual((await as(bob, ...argv)).code, 0, argv.join(' '));
  }

  assert.equal((await server.cli('policy', 'publish', good, '--here')).code, 6);
  const id = asked(await server.cli('policy', 'publish', good, '--here', '--request-approval', 'locked out', '--json'));
  const shown = await as(bob, 'approval', 'show', id);
  assert.equal(shown.code, 0, shown.stderr);
  assert.equal((await as(bob, 'approval', 'approve', id)).code, 0);
  assert.equal((await server.cli('policy', 'publish', good, '--here', '--approval', id)).code, 6, 'one is not enough');
  assert.equal((await as(server.operator, 'approval', 'approve', id)).code, 0);
  const mended = await server.cli('policy', 'publish', good, '--here', '--approval', id);
  assert.equal(mended.code, 0, mended.stderr);
  const listed = await as(bob, 'agent', 'list');
  assert.equal(listed.code, 0, listed.stderr);
});
