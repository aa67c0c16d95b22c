import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Reader } from '../db/database.ts';
import { parseBundle } from '../merkle/bundle.ts';
import { parseCheckpoint } from '../merkle/checkpoint.ts';
import { leafHash } from '../merkle/hash.ts';
import { parseNote, verifyNote } from '../merkle/note.ts';
import {
  consistencyRanges,
  inclusionRanges,
  rangeHashes,
  verifyConsistency,
  verifyInclusion,
} from '../merkle/proof.ts';
import { hashAt, tilePath, tileWidth } from '../merkle/tile.ts';
import { nodesFromTiles } from '../merkle/tile-reader.ts';
import { parseTlogProof, verifyTlogProof } from '../merkle/tlog-proof.ts';
import { decodeEntry } from './entry.ts';
import { eventsOf, readEvent } from './history.ts';
import { logSigner } from './log-signer.ts';
import { receipt, receipts } from './receipt.ts';
import { ledgerResource } from './serve.ts';
import { change, revoke, type TestLedger, withLedger } from './testdata/ledger.ts';

async function fill({ sequencer }: TestLedger, count: number): Promise<void> {
  for (let i = 0; i < count; i += 500) {
    await Promise.all(
      Array.from({ length: Math.min(500, count - i) }, (_, k) => sequencer.commit(change(`a${i + k}`))),
    );
  }
}

const body = async (ledger: TestLedger, path: string): Promise<Uint8Array> => {
  const resource = await ledgerResource(ledger.database, path);
  assert.ok(resource, path);
  return resource.body;
};

describe('ledgerResource', () => {
  it('serves all that a client needs to verify the log for itself', () =>
    withLedger(async (ledger) => {
      await fill(ledger, 700);
      await ledger.sequencer.close();
      const note = parseNote(await body(ledger, 'checkpoint'));
      const { keys } = logSigner('corp.example/ledger', ledger.keys);
      assert.equal(verifyNote(note, keys).length, 2);
      const tree = parseCheckpoint(note.text);
      assert.equal(tree.size, 701);
      const read = nodesFromTiles(tree.size, (level, index, width) => body(ledger, tilePath({ level, index, width })));
      for (let index = 0; index * 256 < tree.size; index++) {
        const width = tileWidth(0, index, tree.size);
        const entries = parseBundle(await body(ledger, tilePath({ level: 'entries', index, width })), width);
        const hashes = await body(ledger, tilePath({ level: 0, index, width }));
        for (const [i, entry] of entries.entries()) {
          assert.equal(leafHash(entry).toHex(), hashAt(hashes, i).toHex());
          const leaf = index * 256 + i;
          const proof = await rangeHashes(inclusionRanges(leaf, tree.size), read);
          assert.ok(verifyInclusion(leafHash(entry), leaf, tree, proof), `leaf ${leaf}`);
        }
      }
      const [old] = await rangeHashes([{ start: 0, end: 300 }], read);
      const proof = await rangeHashes(consistencyRanges(300, 701), read);
      assert.ok(verifyConsistency({ size: 300, root: old! }, tree, proof));
    }));

  it('says who may see what, and how long it may be kept', () =>
    withLedger(async (ledger) => {
      await fill(ledger, 300);
      const { database } = ledger;
      const cases: [path: string, type: string, cache: string, restricted: boolean][] = [
        ['tile/0/000', 'application/octet-stream', 'public, max-age=31536000, immutable', false],
        ['tile/0/000.p/9', 'application/octet-stream', 'public, max-age=31536000, immutable', false],
        ['tile/1/000.p/1', 'application/octet-stream', 'public, max-age=31536000, immutable', false],
        ['tile/entries/001.p/45', 'application/octet-stream', 'private, max-age=31536000, immutable', true],
        ['checkpoint', 'text/plain; charset=utf-8', 'public, max-age=1', false],
      ];
      for (const [path, contentType, cacheControl, restricted] of cases) {
        const resource = await ledgerResource(database, path);
        assert.deepEqual(
          [resource?.contentType, resource?.cacheControl, resource?.restricted],
          [contentType, cacheControl, restricted],
          path,
        );
      }
      const absent = [
        'tile/0/001',
        'tile/0/001.p/46',
        'tile/1/000',
        'tile/2/000.p/1',
        'tile/entries/002.p/1',
        'tile',
        '',
      ];
      for (const path of [...absent, 'tile/0/1', 'tile/0/000/', '/checkpoint', 'tile/entries/001.p/256']) {
        assert.equal(await ledgerResource(database, path), undefined, path);
      }
    }));
});

describe('receipts', () => {
  it('are the same one by one and together, and read together what they share', () =>
    withLedger(async (ledger) => {
      await fill(ledger, 700);
      await ledger.sequencer.close();
      const { database } = ledger;
      let read = 0;
      const reader: Reader = {
        get: (sql, params) => database.get(sql, params),
        async all(sql, params) {
          const rows = await database.all(sql, params);
          if (sql.includes('ledger_entry')) read += rows.length;
          return rows;
        },
      };
      const together = receipts(reader);
      for (let leaf = 512; leaf < 612; leaf++) {
        assert.equal(await together(leaf), await receipt(database, leaf));
      }
      assert.equal(read, 701 - 512, 'the entries of the partial tile are read once for a hundred receipts');
    }));
});

describe('receipt', () => {
  it('verifies with the public keys alone, for every leaf', () =>
    withLedger(async (ledger) => {
      await fill(ledger, 280);
      const log = logSigner('corp.example/ledger', ledger.keys);
      for (const leaf of [0, 1, 255, 256, 280]) {
        const proof = parseTlogProof(await receipt(ledger.database, leaf));
        assert.equal(proof.index, leaf);
        const { checkpoint } = verifyTlogProof(proof, leafHash(proof.extra!), log);
        assert.equal(checkpoint.size, 281);
        assert.deepEqual(decodeEntry(leaf, proof.extra!), await readEvent(ledger.database, leaf));
        const other = { ...log, origin: 'corp.example/ledger-2' };
        assert.throws(() => verifyTlogProof(proof, leafHash(proof.extra!), other), { code: 'bad_note' });
        assert.throws(() => verifyTlogProof(proof, leafHash(Buffer.from('x')), log), { code: 'bad_note' });
      }
      for (const leaf of [281, -1, 0.5, Number.NaN]) {
        await assert.rejects(receipt(ledger.database, leaf), { code: 'not_found' });
      }
      await ledger.sequencer.close();
      const later = parseTlogProof(await receipt(ledger.database, 280));
      assert.equal(verifyTlogProof(later, leafHash(later.extra!), log).signers.length, 2);
    }));
});

describe('eventsOf', () => {
  it('pages through the events of a subject, oldest first', () =>
    withLedger(async ({ sequencer, database }) => {
      for (let i = 0; i < 5; i++) await sequencer.commit(change('x', i));
      await sequencer.commit(revoke('y'));
      const first = await eventsOf(database, { subject: 'agent:x', limit: 3 });
      assert.deepEqual(
        first.map((event) => [event.leaf, event.body['value']]),
        [
          [1, 0],
          [2, 1],
          [3, 2],
        ],
      );
      const rest = await eventsOf(database, { subject: 'agent:x', after: 3, limit: 3 });
      assert.deepEqual(
        rest.map((event) => event.leaf),
        [4, 5],
      );
      assert.equal((await eventsOf(database, { subject: 'serial:y', limit: 9 }))[0]?.type, 'certificate.revoked');
    }));
});
