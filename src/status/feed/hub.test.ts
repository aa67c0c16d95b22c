import assert from 'node:assert/strict';
import { onEachEngine } from '../../../test/engines.ts';
import { createInstallation } from '../../../test/installation.ts';
import type { Caller } from '../../base/access.ts';
import { silentLog } from '../../base/log.ts';
import { newBatch } from '../../db/batch.ts';
import { type FeedEncoding, FeedHub, type FeedStream } from './hub.ts';
import { FeedTail } from './tail.ts';

const caller: Caller = { kind: 'service', id: 'spiffe://writ.internal/service/gateway/1' } as Caller;

/** Says what was written, and how often. */
function encoding(): FeedEncoding & { readonly written: { count: number } } {
  const written = { count: 0 };
  const say = (text: string): Buffer => {
    written.count += 1;
    return Buffer.from(text);
  };
  return {
    written,
    state: (kind, { position }) => say(`${kind} ${position}\n`),
    entries: ({ entries }) => say(entries.map(({ subjects }) => `entry ${subjects}\n`).join('')),
    behind: () => say('behind\n'),
  };
}

function stream(): FeedStream & { text: string; ended: boolean; looks: number } {
  const listeners: (() => void)[] = [];
  return {
    text: '',
    ended: false,
    looks: 0,
    write(piece) {
      this.text += Buffer.from(piece).toString();
    },
    end() {
      this.ended = true;
      for (const listener of listeners.splice(0)) listener();
    },
    onEnd: (listener) => void listeners.push(listener),
    async look() {
      this.looks += 1;
    },
  };
}

onEachEngine(
  'entries are written once for all; who missed much reads the pages; points behind a relay count',
  async ({ open }) => {
    const database = await open();
    const installation = await createInstallation(database);
    const { epoch, clock } = installation;
    const hub = new FeedHub(clock);
    const tail = await FeedTail.open({
      ...{ reader: database, epoch, log: silentLog, clock },
      onEntries: (entries, after) => hub.send(entries, after),
    });
    hub.follow(tail);
    const soon = (clock.now() + 3_600_000).toString(16).padStart(12, '0');
    const revoke = async (from: number, count: number): Promise<void> => {
      const batch = newBatch();
      for (let i = from; i < from + count; i++) {
        const subjects = [`serial:${soon}${i.toString(16).padStart(28, '0')}`];
        batch.events.push({ type: 'certificate.revoked', subjects, body: {} });
      }
      assert.ok((await installation.commit(batch)).committed);
      const last = `${soon}${(from + count - 1).toString(16).padStart(28, '0')}`;
      for (let i = 0; i < 1000 && !tail.after(0)?.at(-1)?.subjects[0]?.endsWith(last); i++) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };

    const [one, other] = [encoding(), encoding()];
    const readers = Array.from({ length: 5 }, () => stream());
    const add = (to: FeedStream, how: FeedEncoding, point: string | undefined, after = tail.position): void =>
      hub.add({ stream: to, encoding: how, caller, point, after });
    readers.forEach((reader, i) => {
      add(reader, i < 3 ? one : other, `point-${i}`);
    });
    const before = [one.written.count, other.written.count];
    await revoke(0, 1);
    for (const { text } of readers) assert.equal(text.split('entry serial:').length, 2);
    // Heartbeats go in turns, and may have come between.
    assert.ok(one.written.count - before[0]! < 4 && other.written.count - before[1]! < 4);

    const start = tail.position;
    await revoke(1, 1000);
    const soonBack = stream();
    add(soonBack, one, undefined, start);
    assert.match(soonBack.text, /^hello \d+\n(?:entry .*\n){1000}heartbeat \d+\n$/);
    await revoke(1001, 3000);
    const late = stream();
    add(late, one, undefined, start);
    assert.match(late.text, /^hello \d+\nbehind\n$/);
    assert.ok(late.ended);

    assert.deepEqual([...hub.points()].sort(), ['point-0', 'point-1', 'point-2', 'point-3', 'point-4']);
    hub.setBehind('point-0', ['a', 'b']);
    hub.setBehind('nowhere', ['c']);
    assert.deepEqual(
      [...hub.points()].filter((name) => name.includes(' via ')),
      ['a via point-0', 'b via point-0'],
    );
    hub.setBehind('point-0', ['b']);
    assert.equal([...hub.points()].length, 6);
    // No relay fills the memory: what is beyond the bound is not taken, and what was known stays.
    hub.setBehind(
      'point-1',
      Array.from({ length: 65_536 }, (_, i) => `${i}`),
    );
    assert.equal([...hub.points()].length, 6);
    // Nor the records: what is too long to be named in one is not waited for.
    hub.setBehind('point-0', ['b', 'x'.repeat(388), 'x'.repeat(389)]);
    assert.equal([...hub.points()].length, 7);
    readers[0]!.end();
    assert.deepEqual([...hub.points()].sort(), ['point-1', 'point-2', 'point-3', 'point-4']);

    hub.close();
    await tail.close();
    await installation.close();
  },
);
