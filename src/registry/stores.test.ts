import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { onBothEngines, type StoreParts } from '../../test/stores.ts';
import { newId } from '../base/id.ts';
import { systemRandom } from '../base/random.ts';
import { type Batch, newBatch } from '../db/batch.ts';
import type { Name } from '../spiffe-id/name.ts';
import type { Agent } from './agent.ts';
import { listAgents } from './agent-list.ts';
import { insertAgent, readAgent, saltSponsor, setAgentStatus } from './agent-store.ts';
import {
  DEEPEST,
  type Instance,
  insertInstance,
  lineageOf,
  listInstances,
  narrowInstance,
  readInstance,
  setLatestSerial,
  stopInstance,
} from './instance.ts';
import { blockKey, holdKey, keyHolder, pushKeyPurge } from './key-in-use.ts';
import {
  addOperatorCertificate,
  insertOperator,
  listOperators,
  readOperator,
  removeOperator,
  requireActiveOperator,
} from './operator.ts';
import { listOwners, requireOwner, setOwnerStatus } from './owner.ts';
import { readStanding, requireActiveInstance, standingFault } from './standing.ts';

const random = systemRandom();
const NOW = 1_800_000_000_000;

const agent: Agent = {
  name: 'planner' as Name,
  kind: 'agent',
  team: 'research' as Name,
  sponsor: 'alice',
  purpose: 'plans',
  environment: 'production' as Name,
  labels: { of: 'agent' },
  dnsNames: ['planner.example.com'],
  profile: 'agent' as Name,
  status: 'active',
  ownerStatus: 'active',
  version: 1,
  createdAt: NOW,
  updatedAt: NOW,
};

function instance(more: Partial<Instance> = {}): Instance {
  return {
    id: newId(NOW, random),
    agent: agent.name,
    status: 'active',
    enrolledAt: NOW,
    firstSerial: Uint8Array.of(1, 2, 3),
    latestSerial: Uint8Array.of(1, 2, 3),
    attestation: 'join-token',
    reference: newId(NOW, random),
    scopes: [],
    labels: { of: 'instance' },
    ...more,
  };
}

/** Commits what `fill` puts into a batch; gives `committed` or the code of the refusal. */
async function act({ commit }: StoreParts, fill: (batch: Batch) => void): Promise<string> {
  const batch = newBatch();
  fill(batch);
  const outcome = await commit(batch);
  return outcome.committed ? 'committed' : outcome.refusal;
}

async function withAgent(stores: StoreParts): Promise<void> {
  const done = await act(stores, (batch) => {
    requireOwner(batch, agent.team, NOW);
    insertAgent(batch, agent, saltSponsor(agent.sponsor, random));
  });
  assert.equal(done, 'committed');
}

onBothEngines('an instance comes back as it was put in, alone and with its agent', async (stores) => {
  await withAgent(stores);
  const parent = instance();
  const child = instance({
    parent: parent.id,
    workflow: 'invoices',
    scopes: ['read', 'write'],
    attestedUntil: NOW + 5,
  });
  for (const one of [parent, child]) {
    await act(stores, (batch) => insertInstance(batch, one));
    assert.deepEqual(plain(await readInstance(stores.database, one.id)), one);
    const standing = await readStanding(stores.database, one.id);
    assert.deepEqual({ ...standing, instance: plain(standing?.instance) }, { instance: one, agent });
    assert.equal(standingFault(standing!), undefined);
  }
  assert.equal(await readInstance(stores.database, newId(NOW, random)), undefined);
  assert.equal(await readStanding(stores.database, newId(NOW, random)), undefined);

  await act(stores, (batch) => {
    setLatestSerial(batch, child.id, Uint8Array.of(9));
    narrowInstance(batch, child.id, undefined, ['read']);
  });
  const { workflow: _, ...narrowed } = { ...child, latestSerial: Uint8Array.of(9), scopes: ['read'] };
  assert.deepEqual(plain(await readInstance(stores.database, child.id)), narrowed);
  assert.deepEqual(plain(await readInstance(stores.database, parent.id)), parent);
});

onBothEngines('what stands against an instance stops the commit, and the next look says what it is', async (stores) => {
  await withAgent(stores);
  const one = instance();
  await act(stores, (batch) => insertInstance(batch, one));
  const before = (await readStanding(stores.database, one.id))!;
  const issue = (standing = before): Promise<string> => act(stores, (batch) => requireActiveInstance(batch, standing));
  const fault = async () => standingFault((await readStanding(stores.database, one.id))!)?.code;
  assert.equal(await issue(), 'committed');

  await act(stores, (batch) => setOwnerStatus(batch, agent.team, 'gone', NOW));
  assert.deepEqual([await issue(), await fault()], ['conflict', 'inactive']);
  await act(stores, (batch) => setOwnerStatus(batch, agent.team, 'active', NOW));
  assert.deepEqual([await issue(), await fault()], ['committed', undefined]);

  const current = async () => (await readAgent(stores.database, agent.name))!;
  const quarantine = await current();
  await act(stores, (batch) => setAgentStatus(batch, quarantine, 'quarantined', NOW));
  assert.deepEqual([await issue(), await fault()], ['conflict', 'inactive']);
  const free = await current();
  await act(stores, (batch) => setAgentStatus(batch, free, 'active', NOW));
  assert.deepEqual([await issue(), await fault()], ['conflict', undefined], 'decided on another version');
  const after = (await readStanding(stores.database, one.id))!;
  assert.equal(await issue(after), 'committed');

  assert.equal(await act(stores, (batch) => stopInstance(batch, one.id, NOW + 7)), 'committed');
  assert.deepEqual([await issue(after), await fault()], ['conflict', 'revoked']);
  assert.equal(await act(stores, (batch) => stopInstance(batch, one.id, NOW + 8)), 'conflict');
  assert.equal((await readInstance(stores.database, one.id))?.stoppedAt, NOW + 7);

  const other = instance();
  await act(stores, (batch) => insertInstance(batch, other));
  const standing = (await readStanding(stores.database, other.id))!;
  const last = await current();
  await act(stores, (batch) => setAgentStatus(batch, last, 'retired', NOW));
  assert.equal(await issue(standing), 'conflict');
  assert.equal(standingFault((await readStanding(stores.database, other.id))!)?.code, 'revoked');
  const retired = await current();
  assert.equal(await act(stores, (batch) => setAgentStatus(batch, retired, 'active', NOW)), 'conflict', 'for ever');
});

onBothEngines('an instance id is never used twice', async (stores) => {
  await withAgent(stores);
  const one = instance();
  await act(stores, (batch) => insertInstance(batch, one));
  await act(stores, (batch) => stopInstance(batch, one.id, NOW));
  await assert.rejects(act(stores, (batch) => insertInstance(batch, one)));
});

onBothEngines('lineage is walked upward, and not for ever', async (stores) => {
  await withAgent(stores);
  const line: Instance[] = [];
  for (let i = 0; i < DEEPEST + 4; i++) {
    const next = instance(i === 0 ? {} : { parent: line.at(-1)!.id });
    line.push(next);
    await act(stores, (batch) => insertInstance(batch, next));
  }
  assert.deepEqual(await lineageOf(stores.database, line[0]!), []);
  assert.deepEqual(await lineageOf(stores.database, line[2]!), [line[1]!.id, line[0]!.id]);
  assert.equal((await lineageOf(stores.database, line.at(-1)!)).length, DEEPEST + 1);
});

onBothEngines('instances are listed in the order of their coming', async (stores) => {
  await withAgent(stores);
  const ids: string[] = [];
  for (let i = 0; i < 7; i++) {
    const one = instance({ id: newId(NOW + i, random), agent: i === 3 ? 'other' : agent.name });
    await act(stores, (batch) => insertInstance(batch, one));
    if (i !== 3) ids.push(one.id);
  }
  await act(stores, (batch) => stopInstance(batch, ids[1]!, NOW));
  const walk = async (filter: { agent: string; status?: 'active' | 'stopped' }): Promise<string[]> => {
    const found: string[] = [];
    for (let cursor: string | undefined, pages = 0; pages < 9; pages++) {
      const page = await listInstances(stores.database, filter, { limit: 2, ...(cursor && { cursor }) });
      found.push(...page.items.map(({ id }) => id));
      cursor = page.next;
      if (cursor === undefined) break;
    }
    return found;
  };
  assert.deepEqual(await walk({ agent: agent.name }), ids);
  assert.deepEqual(await walk({ agent: agent.name, status: 'stopped' }), [ids[1]]);
  assert.deepEqual(
    await walk({ agent: agent.name, status: 'active' }),
    ids.filter((id) => id !== ids[1]),
  );
});

onBothEngines('a page looks at a bounded number of rows and goes on where it stopped', async (stores) => {
  await withAgent(stores);
  const names = Array.from({ length: 2300 }, (_, i) => `x${String(i).padStart(5, '0')}`);
  await stores.database.transaction(async (tx) => {
    for (let at = 0; at < names.length; at += 50) {
      const part = names.slice(at, at + 50);
      const one = `('agent', 'research', 'a', ?, 'p', ?, '', '', '', '{}', 'agent', 'active', 1, 0, 0, ?)`;
      await tx.run(
        'INSERT INTO agent (kind, team, sponsor, sponsor_salt, purpose, environment, model_provider, model_name, ' +
          `model_version, labels, profile, status, version, created_at, updated_at, name) VALUES ${part.map(() => one).join(', ')}`,
        part.flatMap((name) => [Uint8Array.of(1), name === 'x02299' ? 'dev' : 'production', name]),
      );
    }
  });
  const first = await listAgents(stores.database, { environment: 'dev' }, {});
  assert.deepEqual(first.items, []);
  const second = await listAgents(stores.database, { environment: 'dev' }, { cursor: first.next! });
  assert.deepEqual(
    second.items.map(({ name }) => name),
    ['x02299'],
  );
  assert.equal(second.next, undefined);
});

onBothEngines('a key serves one holder at a time, and nobody once it is blocked', async (stores) => {
  const key = hash('sha256', 'a key', 'buffer');
  const hold = (holder: string, now: number, keepUntil: number) =>
    act(stores, (batch) => holdKey(batch, key, holder, { now, keepUntil }));
  const holder = (now: number) => keyHolder(stores.database, key, now);
  assert.equal(await holder(NOW), undefined);
  assert.equal(await hold('one', NOW, NOW + 100), 'committed');
  assert.equal(await holder(NOW), 'one');
  assert.equal(await hold('two', NOW + 99, NOW + 500), 'key_in_use');
  assert.equal(await hold('one', NOW + 50, NOW + 200), 'committed', 'renewed with the same key');
  assert.equal(await hold('one', NOW + 60, NOW + 150), 'committed', 'a shorter certificate does not free it earlier');
  assert.equal(await hold('two', NOW + 199, NOW + 500), 'key_in_use');
  assert.equal(await holder(NOW + 200), undefined);
  assert.equal(await hold('two', NOW + 200, NOW + 500), 'committed', 'past its time it is free');
  assert.equal(await hold('one', NOW + 300, NOW + 600), 'key_in_use');
  await act(stores, (batch) => blockKey(batch, key));
  assert.equal(await hold('two', NOW + 300, NOW + 600), 'key_in_use');
  assert.equal(await hold('two', NOW * 100, NOW * 200), 'key_in_use');
  await act(stores, (batch) => pushKeyPurge(batch, NOW * 100, 10));
  assert.equal(await hold('two', NOW, NOW + 600), 'key_in_use', 'a block is never purged');
});

onBothEngines('keys past their time are purged a few at a time', async (stores) => {
  for (let i = 0; i < 5; i++) {
    await act(stores, (batch) => {
      holdKey(batch, hash('sha256', `key ${i}`, 'buffer'), 'one', { now: NOW, keepUntil: NOW + i });
    });
  }
  const left = async () => (await stores.database.all('SELECT keep_until FROM key_in_use ORDER BY keep_until')).length;
  await act(stores, (batch) => pushKeyPurge(batch, NOW + 2, 2));
  assert.equal(await left(), 3);
  await act(stores, (batch) => pushKeyPurge(batch, NOW + 2, 2));
  assert.equal(await left(), 2);
  assert.equal(await act(stores, (batch) => pushKeyPurge(batch, NOW + 2, 2)), 'not_found', 'nothing is left to do');
});

onBothEngines('operators come, carry certificates and go for ever', async (stores) => {
  const ada = 'ada' as Name;
  assert.equal(await act(stores, (batch) => insertOperator(batch, ada, NOW)), 'committed');
  assert.equal(await act(stores, (batch) => insertOperator(batch, ada, NOW)), 'conflict');
  for (const [serial, expiresAt] of [
    [1, NOW + 10],
    [2, NOW + 20],
  ] as const) {
    await act(stores, (batch) => addOperatorCertificate(batch, ada, { serial: Uint8Array.of(serial), expiresAt }, NOW));
  }
  const read = async (now: number) => {
    const found = await readOperator(stores.database, 'ada', now);
    return found && { ...found, serials: found.serials.map((serial) => [...serial]) };
  };
  assert.deepEqual(await read(NOW), {
    name: 'ada',
    person: 'ada',
    status: 'active',
    createdAt: NOW,
    serials: [[1], [2]],
  });
  assert.deepEqual((await read(NOW + 10))?.serials, [[2]]);
  assert.equal(await act(stores, (batch) => requireActiveOperator(batch, ada)), 'committed');
  assert.equal(await act(stores, (batch) => removeOperator(batch, ada, NOW + 5)), 'committed');
  assert.equal(await act(stores, (batch) => requireActiveOperator(batch, ada)), 'conflict');
  assert.equal(await act(stores, (batch) => removeOperator(batch, ada, NOW + 6)), 'conflict');
  assert.equal(await act(stores, (batch) => insertOperator(batch, ada, NOW)), 'conflict', 'the name is burnt');
  assert.deepEqual(
    (await listOperators(stores.database, NOW)).map(({ name, removedAt }) => [name, removedAt]),
    [['ada', NOW + 5]],
  );
  assert.equal(await readOperator(stores.database, 'bob', NOW), undefined);
});

onBothEngines('owners are listed page by page', async (stores) => {
  for (const team of ['b', 'a', 'c']) await act(stores, (batch) => requireOwner(batch, team as Name, NOW));
  const first = await listOwners(stores.database, { limit: 2 });
  assert.deepEqual(
    first.items.map(({ team }) => team),
    ['a', 'b'],
  );
  const second = await listOwners(stores.database, { limit: 2, cursor: first.next! });
  assert.deepEqual(second, { items: [{ team: 'c', status: 'active', createdAt: NOW, updatedAt: NOW }] });
});

/** Rows come with the engine's own byte arrays; what counts is what is in them. */
function plain(found: Instance | undefined): Instance | undefined {
  if (found === undefined) return undefined;
  return { ...found, firstSerial: new Uint8Array(found.firstSerial), latestSerial: new Uint8Array(found.latestSerial) };
}
