/** Further people who run an installation, each with what it takes by then. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { cli, type Said, type TestServer } from '../server.ts';

/** The approval that a refused command has asked for. */
export function asked({ code, stderr }: Said): string {
  assert.equal(code, 6, stderr);
  const { error } = JSON.parse(stderr.trim().split('\n').at(-1)!) as { error: { approval?: { id?: string } } };
  assert.ok(error.approval?.id !== undefined, stderr);
  return error.approval.id;
}

/**
 * Runs a command of the administrator on the server's machine. Where others have to agree they are asked: the operators
 * of these credentials agree.
 */
export async function administer(
  server: TestServer,
  argv: readonly string[],
  people: readonly string[],
): Promise<Said> {
  const alone = await server.cli(...argv, '--json');
  if (alone.code !== 6) return alone;
  const id = asked(await server.cli(...argv, '--here', '--request-approval', 'as agreed', '--json'));
  for (const operator of people) {
    const { code, stderr } = await cli(['approval', 'approve', id, '--json'], { operator, server: server.api });
    assert.equal(code, 0, stderr);
  }
  return server.cli(...argv, '--here', '--approval', id, '--json');
}

/** Adds operators, each somebody of their own with a credential NAME.json in the scratch directory, to these groups. */
export async function addPeople(
  server: TestServer,
  names: readonly string[],
  groups: readonly string[] = ['ca-officers'],
): Promise<void> {
  const people = [server.operator];
  const run = async (...argv: string[]): Promise<void> => {
    const { code, stderr } = await administer(server, argv, people.slice(0, 2));
    assert.equal(code, 0, stderr);
  };
  for (const name of names) {
    const out = join(server.scratch, `${name}.json`);
    const how = ['--out', out, '--email', `${name}@example.com`];
    // Whoever is the second comes with their groups.
    const first = people.length === 1;
    await run('operator', 'add', name, ...how, ...(first ? groups.flatMap((group) => ['--group', group]) : []));
    if (!first) for (const group of groups) await run('group', 'add', group, name);
    people.push(out);
  }
}
