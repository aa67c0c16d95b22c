import assert from 'node:assert/strict';
import { onEachEngine } from '../../../test/engines.ts';
import { createInstallation, type Installation } from '../../../test/installation.ts';
import { silentLog } from '../../base/log.ts';
import { newBatch } from '../../db/batch.ts';
import { pushFeedPurge } from '../../ledger/feed.ts';
import type { FeedEntry } from '../../wire/feed.ts';
import { FeedTail } from './tail.ts';

const HOUR = 3_600_000;

/** A serial number of a certificate that expires then. */
function serial(expires: number, number: number): string {
  return `serial:${expires.toString(16).padStart(12, '0')}${number.toString(16).padStart(28, '0')}`;
}

/** Revokes so many certificates that do not exist, in one act. */
async function revoke(installation: Installation, count: number, expires: number): Promise<string[]> {
  const batch = newBatch();
  const serials = Array.from({ length: count }, (_, i) => serial(expires, i));
  for (const subject of serials) batch.events.push({ type: 'certificate.revoked', subjects: [subject], body: {} });
  assert.ok((await installation.commit(batch)).committed);
  return serials;
}

async function until(what: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !what(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.ok(what());
}

onEachEngine(
  'the tail is told of each entry once, in order; keeps the newest; the pages have all that is in force',
  async ({ open }) => {
    const database = await open();
    const installation = await createInstallation(database);
    const { epoch, clock } = installation;
    const soon = clock.now() + HOUR;
    await revoke(installation, 3, soon);
    const told: FeedEntry[] = [];
    const onEntries = (entries: readonly FeedEntry[]): void => void told.push(...entries);
    const tail = await FeedTail.open({ reader: database, epoch, log: silentLog, clock, onEntries, kept: 4 });
    const first = tail.position;
    assert.ok(first > 0);
    assert.equal(tail.after(0)?.length, 3);
    const later = await revoke(installation, 6, soon + 10 * HOUR);
    await until(() => told.length === 6);
    assert.deepEqual(
      told.map(({ subjects }) => subjects[0]),
      later,
    );
    // One act, known by its first entry.
    assert.deepEqual([...new Set(told.map(({ act }) => act))], [told[0]!.position]);
    assert.deepEqual(tail.after(told[1]!.position), told.slice(2));
    // Nine are more than twice four: what is older is on the pages alone.
    assert.equal(tail.after(told[0]!.position), undefined);
    const page = await tail.page(0, 5);
    assert.deepEqual([page.entries.length, page.complete, page.floor], [5, false, 0]);
    const rest = await tail.page(page.entries.at(-1)!.position, 5);
    assert.deepEqual([rest.entries.length, rest.complete], [4, true]);

    // What has expired leaves, and the floor says up to where.
    installation.advance(2 * HOUR + 1);
    const sweep = newBatch();
    pushFeedPurge(sweep, clock.now(), 100);
    assert.ok((await installation.commit(sweep)).committed);
    const left = await tail.page(0, 100);
    assert.deepEqual([left.entries.length, left.floor], [6, first]);
    const again = newBatch();
    pushFeedPurge(again, clock.now(), 100);
    assert.equal((await installation.commit(again)).committed, false);
    await tail.close();
    await installation.close();
  },
);

onEachEngine('an authority that is held is named by its key', async ({ open }) => {
  const database = await open();
  const installation = await createInstallation(database);
  const { id } = installation.issuance.authority.issuer();
  const batch = newBatch();
  batch.events.push({ type: 'authority.quarantined', subjects: [`authority:${id}`], body: {} });
  await installation.commit(batch);
  const { epoch, clock } = installation;
  const tail = await FeedTail.open({ reader: database, epoch, log: silentLog, clock, onEntries: () => undefined });
  const [entry] = tail.after(0)!;
  assert.equal(entry!.effect, 'hold');
  assert.equal(entry!.subjects[0], `authority:${id}`);
  assert.match(entry!.subjects[1]!, /^issuer:[0-9a-f]{40,64}$/);
  await tail.close();
  await installation.close();
});
