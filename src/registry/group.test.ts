import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import { ADA, createInstallation, type Installation, newKey, SYSTEM } from '../../test/installation.ts';
import type { Caller } from '../base/access.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import type { Database } from '../db/database.ts';
import { migrate, readMigrations } from '../db/migrate.ts';
import { addOperatorOf } from '../issuance/add-operator.ts';
import { publishPolicy } from '../policy/publish.ts';
import { defaultPolicyText } from '../policy/text-files.ts';
import type { Name } from '../spiffe-id/name.ts';
import { readActingPeople } from './acting-people.ts';
import { changeGroup, readGroupsOfOperators, showGroups } from './group.ts';
import { personOf } from './person.ts';

const code = (wanted: ErrorCode) => (error: unknown) => isWritError(error, wanted);

async function add(
  { database, issuance }: Installation,
  operator: string,
  given: { person?: string; email?: string } = {},
) {
  const person = await personOf(database, operator as Name, given);
  return addOperatorOf(SYSTEM, { operator: operator as Name, csr: await newKey().csr(), person }, issuance);
}

/** The migration that brought the group `security`. */
const EMERGENCY = 16;

const groupsOf = async (database: Database) => Object.fromEntries(await readGroupsOfOperators(database));

onEachEngine('the first operator is the first officer; a second credential is the same person', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { database } = installation;
  await add(installation, 'ada', { email: 'ada@example.com' });
  await add(installation, 'bob');
  await add(installation, 'ada-laptop', { person: 'ada' });
  const first = ['ca-officers', 'security'];
  assert.deepEqual(await groupsOf(database), { ada: first, 'ada-laptop': first });
  await assert.rejects(add(installation, 'ada'), code('conflict'));
  await add(installation, 'grace-1', { person: 'grace' });
  await assert.rejects(add(installation, 'grace'), code('conflict'), 'nobody is taken for another by their name');
  await assert.rejects(add(installation, 'ada-3', { person: 'ada', email: 'eve@example.com' }), code('conflict'));
  await assert.rejects(add(installation, 'eve', { email: 'eve' }), code('bad_request'));

  const added = (await installation.events()).filter(({ type }) => type === 'operator.added');
  assert.deepEqual(
    added.map(({ body }) => [body['operator'], body['person'], body['groups']]),
    [
      ['ada', 'ada', first],
      ['bob', 'bob', undefined],
      ['ada-laptop', 'ada', undefined],
      ['grace-1', 'grace', undefined],
    ],
  );
  assert.match(String(added[0]?.body['email_sha256']), /^[0-9a-f]{64}$/);
  assert.ok(!JSON.stringify(added).includes('ada@example.com'));
});

onEachEngine('policy knows the groups of an operator, from the acknowledgement of a change on', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { database: reader, policy, commit, clock } = installation;
  const { authorize } = policy;
  await add(installation, 'ada');
  await add(installation, 'bob');
  const parts = { reader, authorize, commit, clock };
  const rule =
    '@id("sre-rotates")\n@description("These rotate.")\n' +
    'permit (principal in Group::"sre", action == Action::"authority.rotate", resource);\n';
  await publishPolicy(SYSTEM, { text: `${defaultPolicyText()}\n${rule}` }, { ...parts, cedar: policy.cedar });
  const bob: Caller = { ...ADA, id: ADA.id.replace('ada', 'bob'), operator: 'bob' };
  const allowed = async (caller: Caller): Promise<boolean> => {
    await policy.fresh();
    return authorize({ caller, action: 'authority.rotate', resource: { type: 'Installation', id: 'writ' } }).allowed;
  };
  assert.deepEqual([await allowed(bob), await allowed(ADA)], [false, false]);
  // What a caller says of its groups counts for nothing.
  assert.equal(await allowed({ ...bob, groups: ['sre'] }), false);
  const change = (what: 'add' | 'remove', caller = SYSTEM) =>
    changeGroup(caller, { group: 'sre', person: 'bob', change: what }, parts);
  assert.deepEqual(
    (await change('add')).members.map(({ person, operators }) => [person, operators]),
    [['bob', ['bob']]],
  );
  assert.deepEqual([await allowed(bob), await allowed(ADA)], [true, false]);
  await change('add');
  await change('remove');
  assert.equal(await allowed(bob), false);
  await assert.rejects(change('add', ADA), code('needs_approval'));
  const nobody = { group: 'security', person: 'nobody', change: 'add' } as const;
  await assert.rejects(changeGroup(SYSTEM, nobody, parts), code('not_found'));
  assert.deepEqual(
    (await showGroups(ADA, parts)).map(({ name }) => name),
    ['ca-officers', 'security'],
  );
  for (const group of ['all-operators', 'break-glass']) {
    await assert.rejects(changeGroup(SYSTEM, { group, person: 'bob', change: 'add' }, parts), code('bad_request'));
  }
  const changes = (await installation.events()).filter(({ type }) => type === 'group.changed');
  assert.deepEqual(
    changes.map(({ body }) => body['change']),
    ['added', 'removed'],
  );
});

onEachEngine(
  'an installation that is older than groups gets its oldest active operator as officer',
  async ({ open }) => {
    const database = await open();
    const all = readMigrations();
    const before = all.filter(({ number }) => number < 12);
    await migrate(database, { migrations: before });
    await database.transaction(async (tx) => {
      for (const [name, status, at] of [
        ['zoe', 'removed', 1],
        ['bob', 'active', 2],
        ['ada', 'active', 3],
      ] as const) {
        await tx.run('INSERT INTO operator (name, status, created_at) VALUES (?, ?, ?)', [name, status, at]);
      }
    });
    await migrate(database, { migrations: all.filter(({ number }) => number <= 12) });
    assert.deepEqual(await groupsOf(database), { bob: ['ca-officers'] });
  },
);

const INSERT = 'INSERT INTO group_member (group_name, person, added_at) VALUES (?, ?, 1)';
const UPGRADES: readonly [string, string, readonly string[], readonly string[]][] = [
  ['that names nobody', 'permit (principal, action, resource);', [], ['ada', 'bob']],
  ['that speaks of others', 'permit (principal in Group::"security", action, resource);', [], []],
  ['with people of its own', 'permit (principal, action, resource);', ['eve'], ['eve']],
];
for (const [what, policy, present, want] of UPGRADES) {
  onEachEngine(`who pulls the cord after an upgrade of an installation ${what}`, async ({ open }) => {
    const database = await open();
    const all = readMigrations();
    await migrate(database, { migrations: all.filter(({ number }) => number < EMERGENCY) });
    await database.transaction(async (tx) => {
      for (const person of ['ada', 'bob']) await tx.run(INSERT, ['ca-officers', person]);
      for (const person of present) await tx.run(INSERT, ['security', person]);
      const set = 'INSERT INTO policy_set (version, digest, text, schema_digest, published_at, published_by) VALUES ';
      await tx.run(`${set}(1, 'a', 'of old, "security"', 'b', 1, 'x'), (2, 'a', ?, 'b', 1, 'x')`, [policy]);
    });
    await migrate(database, { migrations: all.filter(({ number }) => number <= EMERGENCY) });
    const rows = await database.all("SELECT person FROM group_member WHERE group_name = 'security' ORDER BY person");
    assert.deepEqual(
      rows.map(({ person }) => person),
      want,
    );
  });
}

onEachEngine('a program is nobody: it is not counted, agrees to nothing and confirms nothing', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { database, issuance, clock } = installation;
  await add(installation, 'ada');
  const csr = await newKey().csr();
  await addOperatorOf(
    SYSTEM,
    { operator: 'prometheus' as Name, csr, person: undefined, groups: ['security'] },
    issuance,
  );
  const people = await readActingPeople(database, clock.now());
  assert.deepEqual([people.all, Object.fromEntries(people.ofGroup)], [1, { 'ca-officers': 1, security: 1 }]);
  assert.equal((await readGroupsOfOperators(database)).get('prometheus'), undefined);
  const added = (await installation.events()).find(({ body }) => body['operator'] === 'prometheus');
  assert.deepEqual([added?.body['program'], added?.body['person']], [true, undefined]);
});
