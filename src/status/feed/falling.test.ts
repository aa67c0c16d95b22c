import assert from 'node:assert/strict';
import { onEachEngine } from '../../../test/engines.ts';
import {
  ADA,
  ANONYMOUS,
  callerOf,
  createInstallation,
  type Installation,
  letIn,
  newKey,
  newToken,
  SYSTEM,
  startedBy,
} from '../../../test/installation.ts';
import { silentLog } from '../../base/log.ts';
import { enrol } from '../../issuance/enrol.ts';
import { readHead } from '../../ledger/head.ts';
import { registerAgent } from '../../registry/register.ts';
import type { CordParts } from '../../revocation/parts.ts';
import { quarantine } from '../../revocation/quarantine.ts';
import type { StopTarget } from '../../revocation/stop-target.ts';
import type { FeedEntry } from '../../wire/feed.ts';
import { ALSO_MS } from '../../wire/feed-events.ts';
import { FeedTail } from './tail.ts';

async function registered({ registry, issuance }: Installation, name: string, team: string, labels = {}) {
  await issuance.refresh();
  const about = { purpose: 'tests', environment: 'test', profile: 'agent', labels };
  const owner = { team, sponsor: 'alice@example.com' };
  await registerAgent(ADA, { kind: 'agent', name, owner, ...about }, registry);
}

onEachEngine('the first entry of a stop of many names what falls with it', async ({ open }) => {
  const database = await open();
  const installation = await createInstallation(database);
  const { issuance, clock, epoch, random } = installation;
  for (const name of ['one', 'two']) await registered(installation, name, 'fleet', { tier: 'gold' });
  await registered(installation, 'three', 'others', { tier: 'gold' });
  await registered(installation, 'beside', 'others');
  const parent = callerOf(await letIn(installation, { agent: 'one' }));
  const token = await newToken(installation, { agent: 'one' }, parent);
  const child = await enrol(ANONYMOUS, { evidence: await token.attest(), csr: await newKey().csr() }, issuance);
  await registered(installation, 'starter', 'starters');
  const starter = await letIn(installation, { agent: 'starter', labels: { fleet: 'green' } });
  const started = await startedBy(installation, starter, 'beside');
  const told: FeedEntry[] = [];
  const onEntries = (entries: readonly FeedEntry[]): void => void told.push(...entries);
  const tail = await FeedTail.open({ reader: database, epoch, log: silentLog, clock, onEntries });
  const cord: CordParts = { ...issuance, massStop: 100, random, refresh: issuance.refresh };

  const alsoOf = async (target: StopTarget): Promise<readonly string[] | undefined> => {
    const { size } = (await readHead(database))!;
    // What the stop before this one wrote may be told only now.
    const ofThis = (): readonly FeedEntry[] => told.filter(({ position }) => position >= size);
    await quarantine(SYSTEM, { target, cause: 'policy_change' }, cord);
    for (let i = 0; i < 500 && ofThis().length === 0; i++) await new Promise((resolve) => setTimeout(resolve, 5));
    const [first, ...others] = ofThis();
    // Those of certificates say all by themselves.
    for (const { also } of others) assert.equal(also, undefined);
    return first!.also;
  };
  assert.deepEqual(await alsoOf({ kind: 'parent', name: parent.instance! }), [`instance:${child.instance}`]);
  assert.deepEqual(await alsoOf({ kind: 'owner', name: 'fleet' }), ['agent:one', 'agent:two']);
  assert.deepEqual(await alsoOf({ kind: 'label', name: 'tier=gold' }), ['agent:one', 'agent:three', 'agent:two']);
  const green = await alsoOf({ kind: 'label', name: 'fleet=green' });
  assert.deepEqual(green, [`instance:${starter.instance}`, `instance:${started.instance}`]);
  assert.deepEqual(await alsoOf({ kind: 'agent', name: 'starter' }), [`instance:${started.instance}`]);
  assert.equal(await alsoOf({ kind: 'agent', name: 'beside' }), undefined);

  // Whoever comes later hears it for a minute; from then on the certificates' own entries are there.
  const withAlso = async (): Promise<number[]> => {
    const pages = (await tail.page(0, 100)).entries;
    const again = await FeedTail.open({ reader: database, epoch, log: silentLog, clock, onEntries: () => undefined });
    const counts = [pages, tail.after(0)!, again.after(0)!].map((all) => all.filter(({ also }) => also).length);
    await again.close();
    return counts;
  };
  assert.deepEqual(await withAlso(), [5, 5, 5]);
  installation.advance(ALSO_MS + 1);
  assert.deepEqual(await withAlso(), [0, 0, 0]);
  await tail.close();
  await installation.close();
});
