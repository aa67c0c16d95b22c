import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { LiveConnections } from './live.ts';

class Socket extends EventEmitter {
  open = true;

  destroySoon(): void {
    setTimeout(() => this.destroy(), 10);
  }

  destroy(): void {
    if (!this.open) return;
    this.open = false;
    this.emit('close');
  }
}

const LATER = Date.now() + 3_600_000;

function held(
  live: LiveConnections,
  subjects: string[],
  carriesFeed = false,
  { notAfter = LATER, ephemeral = false } = {},
): Socket {
  const socket = new Socket();
  live.hold(socket as unknown as TLSSocket, { subjects, notAfter, ephemeral }, carriesFeed);
  return socket;
}

test('whatever names a connection closes it, and nothing else does', () => {
  const live = new LiveConnections();
  const [one, two] = [held(live, ['serial:1', 'agent:a']), held(live, ['serial:2', 'agent:a'])];
  live.cut(['serial:3', 'agent:b']);
  assert.deepEqual([one.open, two.open], [true, true]);
  live.cut(['serial:1']);
  assert.deepEqual([one.open, two.open], [false, true]);
  live.cut(['agent:a']);
  assert.equal(two.open, false);
  assert.deepEqual(live.subjects(), []);
});

test('what carries the feed stays while what is known is old, and ends with the certificate of its peer', async () => {
  const live = new LiveConnections();
  const plain = held(live, ['serial:1'], false, { notAfter: Date.now() + 30 });
  const [carrier, brief, late] = [
    held(live, ['serial:2'], true),
    held(live, ['serial:3'], true, { notAfter: Date.now() + 30 }),
    held(live, ['serial:4'], true, { notAfter: Date.now() - 1 }),
  ];
  assert.equal(late.open, false);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.deepEqual([plain.open, carrier.open, brief.open], [true, true, false]);
  live.cutStale('all');
  assert.deepEqual([plain.open, carrier.open], [false, true]);
  // It goes last, when what was written has gone out.
  live.cut(['serial:2']);
  assert.equal(carrier.open, true);
  live.cutCarriers(['serial:2']);
  assert.equal(carrier.open, true);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(carrier.open, false);
});

test('ephemeral peers go first when what is known is old, but for those that carry it', () => {
  const live = new LiveConnections();
  const [usual, brief, carrier] = [
    held(live, ['serial:1']),
    held(live, ['serial:2'], false, { ephemeral: true }),
    held(live, ['serial:3'], true, { ephemeral: true }),
  ];
  live.cutStale('ephemeral');
  assert.deepEqual([usual.open, brief.open, carrier.open], [true, false, true]);
});
