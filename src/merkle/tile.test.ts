import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { encodeBundle, parseBundle } from './bundle.ts';
import { parseTilePath, tilePath, tileWidth } from './tile.ts';

describe('tile paths', () => {
  const cases: [path: string, level: number | 'entries', index: number, width: number][] = [
    // C2SP tlog-tiles: "index 1234067 will be encoded as x001/x234/067".
    ['tile/0/x001/x234/067', 0, 1234067, 256],
    ['tile/0/000', 0, 0, 256],
    ['tile/0/999', 0, 999, 256],
    ['tile/0/x001/000', 0, 1000, 256],
    ['tile/1/273.p/112', 1, 273, 112],
    ['tile/63/000.p/1', 63, 0, 1],
    ['tile/entries/x123/456.p/255', 'entries', 123456, 255],
  ];
  for (const [path, level, index, width] of cases) {
    it(`reads and writes ${path}`, () => {
      assert.deepEqual(parseTilePath(path), { level, index, width });
      assert.equal(tilePath({ level, index, width }), path);
    });
  }

  const refused = [
    [
      '',
      'tile',
      'tile/0',
      'tile/0/',
      'tile/0/0',
      'tile/0/00',
      'tile/0/0000',
      'tile/00/000',
      'tile/01/000',
      'tile/64/000',
    ],
    [
      'tile/-1/000',
      'tile/0/x000/001',
      'tile/0/001/002',
      'tile/0/x001',
      'tile/0/000.p',
      'tile/0/000.p/',
      'tile/0/000.p/0',
    ],
    [
      'tile/0/000.p/256',
      'tile/0/000.p/01',
      'tile/0/000.p/1/',
      '/tile/0/000',
      'tile/0/000 ',
      'tile/data/000',
      'TILE/0/000',
    ],
    ['tile/0/000.p/1\n', 'tile/0/../000', `tile/0/${'x999/'.repeat(6)}999`, 'tile/entries/000.p/999'],
  ].flat();
  for (const path of refused) {
    it(`refuses ${JSON.stringify(path)}`, () => {
      assert.throws(() => parseTilePath(path), { code: 'bad_note' });
    });
  }

  it('come back as they were', () => {
    const tile = fc.record({
      level: fc.oneof(fc.constant('entries' as const), fc.nat(63)),
      index: fc.nat(10 ** 15),
      width: fc.integer({ min: 1, max: 256 }),
    });
    fc.assert(fc.property(tile, (one) => assert.deepEqual(parseTilePath(tilePath(one)), { ...one })));
  });
});

describe('tileWidth', () => {
  it('is that of the specification for a tree of 70,000', () => {
    // C2SP tlog-tiles, partial tiles: 273 full tiles and one of 112; one full and one of 17; one of 1.
    const widths = (level: number): number[] =>
      [0, 1, 2, 272, 273, 274].map((index) => tileWidth(level, index, 70_000));
    assert.deepEqual(widths(0), [256, 256, 256, 256, 112, 0]);
    assert.deepEqual(widths(1), [256, 17, 0, 0, 0, 0]);
    assert.deepEqual(widths(2), [1, 0, 0, 0, 0, 0]);
    assert.equal(tileWidth(1, 0, 256), 1);
    assert.equal(tileWidth(1, 0, 255), 0);
  });
});

describe('entry bundles', () => {
  it('have each entry behind its length', () => {
    const bundle = encodeBundle([Buffer.from('a'), Buffer.alloc(0), Buffer.from('bc')]);
    assert.equal(Buffer.from(bundle).toString('hex'), '000161000000026263');
  });

  it('come back as they were, and not otherwise', () => {
    const entries = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 256 });
    fc.assert(
      fc.property(entries, (list) => {
        const bundle = encodeBundle(list);
        assert.deepEqual(
          parseBundle(bundle, list.length).map((entry) => [...entry]),
          list.map((entry) => [...entry]),
        );
        assert.throws(() => parseBundle(bundle, list.length + 1), { code: 'bad_note' });
        if (list.length > 1) assert.throws(() => parseBundle(bundle, list.length - 1), { code: 'bad_note' });
        assert.throws(() => parseBundle(bundle.subarray(0, -1), list.length), { code: 'bad_note' });
        assert.throws(() => parseBundle(Buffer.concat([bundle, Buffer.of(0)]), list.length), { code: 'bad_note' });
      }),
    );
  });

  it('hold entries to 65,535 octets', () => {
    const longest = Buffer.alloc(65_535, 7);
    assert.equal(parseBundle(encodeBundle([longest]), 1)[0]!.length, 65_535);
    assert.throws(() => encodeBundle([Buffer.alloc(65_536)]), { code: 'too_large' });
    assert.throws(() => parseBundle(Buffer.alloc(0), 0), { code: 'bad_note' });
  });
});
