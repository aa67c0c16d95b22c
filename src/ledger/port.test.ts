import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { MessageChannel, Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { manualClock } from '../base/clock.ts';
import { WritError } from '../base/error.ts';
import { systemRandom } from '../base/random.ts';
import type { Commit } from '../db/batch.ts';
import { type EncodedBatch, encodeBatch } from './encode.ts';
import { commitClient, type Submit, serveCommits } from './port.ts';
import { Packer, Unpacker } from './port-codec.ts';
import { broken, change, create, NOW, revoke, withLedger } from './testdata/ledger.ts';

const parts = { clock: manualClock(NOW), random: systemRandom() };

/** A client whose messages go through `submit`. */
function connect(submit: Submit['submit']): ReturnType<typeof commitClient> {
  const { port1, port2 } = new MessageChannel();
  serveCommits(port2, { submit });
  return commitClient(port1, parts);
}

describe('port codec', () => {
  const bytes = fc.uint8Array({ maxLength: 40 });
  const value = fc.oneof(fc.constant(null), fc.maxSafeInteger(), fc.string(), bytes);
  const param = fc.oneof(value, fc.record({ leaf: fc.nat(3) }));
  const text = fc.constantFrom('SELECT 1', 'INSERT {partition}', 'UPDATE x');
  const batch: fc.Arbitrary<EncodedBatch> = fc.record(
    {
      checks: fc.array(
        fc.record(
          {
            sql: text,
            params: fc.array(value),
            want: fc.constantFrom('present' as const, 'absent' as const),
            refusal: fc.constantFrom('conflict' as const, 'revoked' as const),
            reason: fc.string(),
            standing: fc.constant(true as const),
          },
          { requiredKeys: ['sql', 'params', 'want', 'refusal', 'reason'] },
        ),
      ),
      writes: fc.array(
        fc.record(
          {
            sql: fc.oneof(text, fc.string()),
            params: fc.array(param),
            partition: fc.record({ family: text, at: fc.maxSafeInteger(), expires: fc.maxSafeInteger() }),
          },
          { requiredKeys: ['sql', 'params'] },
        ),
      ),
      leaves: fc.array(
        fc.record({
          entry: bytes,
          hash: fc.uint8Array({ minLength: 32, maxLength: 32 }),
          indexed: fc.array(fc.string()),
        }),
      ),
      bumpsEpoch: fc.boolean(),
      anchored: fc.boolean(),
      under: fc.maxSafeNat(),
    },
    { requiredKeys: ['checks', 'writes', 'leaves', 'bumpsEpoch', 'anchored'] },
  );

  it('gives back what was packed, message after message', () => {
    fc.assert(
      fc.property(fc.array(fc.array(batch, { maxLength: 4 }), { maxLength: 4 }), (messages) => {
        const [packer, unpacker] = [new Packer(), new Unpacker()];
        for (const message of messages) {
          const unpacked = unpacker.unpack(structuredClone(packer.pack(message)));
          assert.deepEqual(plain(unpacked), plain(message));
        }
      }),
    );
  });

  it('goes on when there are more texts than the dictionary holds', () => {
    const [packer, unpacker] = [new Packer(), new Unpacker()];
    for (let i = 0; i < 3000; i++) {
      const batch = { ...encodeBatch(change('x'), parts.clock, parts.random), checks: [] };
      const writes = [{ sql: `SELECT ${i}`, params: [] }];
      const [got] = unpacker.unpack(packer.pack([{ ...batch, writes }]));
      assert.deepEqual(got!.writes, writes);
    }
  });

  it('notices a message that does not end where it should', () => {
    const packed = new Packer().pack([encodeBatch(change('x'), parts.clock, parts.random)]);
    assert.throws(() => new Unpacker().unpack({ ...packed, bytes: new Uint8Array(4000) }), { code: 'internal' });
  });

  function plain(value: unknown): unknown {
    return JSON.parse(JSON.stringify(value, (_, item) => (item instanceof Uint8Array ? [...item] : item)));
  }
});

describe('commits through a port', () => {
  it('are those of the sequencer', () =>
    withLedger(async ({ sequencer, epoch, database }) => {
      const { commit, close } = connect((batch) => sequencer.submit(batch));
      const before = epoch.current();
      const outcomes = await Promise.allSettled([
        commit(create('a')),
        commit(create('a')),
        commit(broken()),
        commit(revoke('c')).then((done) => [done, epoch.current()]),
        commit(change('d')),
      ]);
      assert.deepEqual(
        outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : outcome.reason.code)),
        [
          { committed: true, firstLeaf: 1 },
          { committed: false, refusal: 'conflict', reason: 'a is taken' },
          'internal',
          [{ committed: true, firstLeaf: 2 }, before + 1],
          { committed: true, firstLeaf: 3 },
        ],
      );
      assert.equal((await database.all('SELECT leaf FROM ledger_entry')).length, 4);
      await close();
    }));

  it('travel together when they were made together', async () => {
    const { port1, port2 } = new MessageChannel();
    let messages = 0;
    port2.on('message', () => messages++);
    serveCommits(port2, { submit: async () => ({ committed: true, firstLeaf: 7 }) });
    const { commit, close } = commitClient(port1, parts);
    const all = await Promise.all(Array.from({ length: 50 }, () => commit(change('x'))));
    assert.ok(all.every((done) => done.committed && done.firstLeaf === 7));
    assert.equal(messages, 1);
    await close();
  });

  it('are answered by number, whatever order they end in', async () => {
    const ends: ((commit: Commit) => void)[] = [];
    const { commit, close } = connect(() => new Promise((resolve) => ends.push(resolve)));
    const first = commit(change('a'));
    const second = commit(change('b'));
    while (ends.length < 2) await turn();
    ends[1]!({ committed: true, firstLeaf: 20 });
    assert.deepEqual(await second, { committed: true, firstLeaf: 20 });
    ends[0]!({ committed: true, firstLeaf: 10 });
    assert.deepEqual(await first, { committed: true, firstLeaf: 10 });
    await close();
  });

  it('carry an error with all that it says but its cause', async () => {
    const thrown = new WritError('storage_failed', 'message', {
      ...{ field: 'commit', remedy: 'remedy', reasons: ['r'], cause: new Error('secret') },
    });
    const { commit, close } = connect(() => Promise.reject(thrown));
    await assert.rejects(commit(change('x')), (error: WritError) => {
      const { code, message, field, remedy, reasons, cause } = error;
      assert.deepEqual(
        [code, message, field, remedy, reasons, cause],
        ['storage_failed', 'message', 'commit', 'remedy', ['r'], undefined],
      );
      return error instanceof WritError;
    });
    await close();
  });

  it('are refused when too many are under way, and are awaited before the port closes', async () => {
    const ends: ((commit: Commit) => void)[] = [];
    const { commit, close } = connect(() => new Promise((resolve) => ends.push(resolve)));
    const under = Array.from({ length: 2048 }, () => commit(change('x')));
    await assert.rejects(commit(change('x')), { code: 'unavailable' });
    const closed = close();
    await assert.rejects(commit(change('x')), { code: 'unavailable' });
    while (ends.length < 2048) await turn();
    for (const end of ends) end({ committed: true, firstLeaf: 1 });
    await Promise.all(under);
    await closed;
  });

  it('reject as unknown when the writer dies', async () => {
    const { port1, port2 } = new MessageChannel();
    const { commit } = commitClient(port1, parts);
    const writer = new Worker(`require('node:worker_threads').workerData.port.on('message', () => process.exit(1))`, {
      ...{ eval: true, workerData: { port: port2 }, transferList: [port2] },
    });
    await assert.rejects(commit(change('x')), { code: 'storage_failed', field: 'commit' });
    await assert.rejects(commit(change('x')), { code: 'unavailable' });
    await writer.terminate();
  });
});
