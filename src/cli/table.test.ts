import assert from 'node:assert/strict';
import { test } from 'node:test';
import { list, relative, table } from './table.ts';

const plain = { empty: 'nothing', colour: false };

test('columns are as wide as their widest cell; nothing trails', () => {
  assert.equal(
    table(
      ['A', 'LONG'],
      [
        ['wide cell', 'x'],
        ['y', ''],
      ],
      plain,
    ),
    ['A          LONG', 'wide cell  x', 'y'].join('\n'),
  );
  assert.equal(table(['A'], [], plain), 'nothing');
});

test('text from elsewhere cannot steer the terminal or begin a line', () => {
  const nasty = '\u001b[31mred\u001b[0m\u0007\rgone\nnext\u2028line\u009b2J\u001b]0;title\u0007';
  const shown = table(['A'], [[nasty]], plain).split('\n');
  assert.equal(shown.length, 2);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  assert.doesNotMatch(shown[1]!, /[\u0000-\u001f\u007f-\u009f\u2028]/);
  assert.equal(list([['name', nasty]]).split('\n').length, 1);
});

test('colour comes behind the measuring, on words of a status alone', () => {
  const shown = table(
    ['STATUS', 'B'],
    [
      ['revoked', 'x'],
      ['revokedish', 'y'],
    ],
    { empty: '', colour: true },
  );
  assert.equal(
    shown,
    '\u001b[1mSTATUS\u001b[22m      \u001b[1mB\u001b[22m\n\u001b[31mrevoked\u001b[39m     x\nrevokedish  y',
  );
});

test('a list leaves out what is absent', () => {
  assert.equal(
    list([
      ['a', '1'],
      ['longer', undefined],
      ['b', ''],
      ['cc', '2'],
    ]),
    'a   1\ncc  2',
  );
});

test('times far and near', () => {
  const now = 1_800_000_000_000;
  const cases: readonly (readonly [number, string])[] = [
    [0, 'in 0 s'],
    [89_000, 'in 89 s'],
    [-60_000, '60 s ago'],
    [41 * 60_000, 'in 41 min'],
    [-3 * 3_600_000, '3 h ago'],
    [30 * 86_400_000, 'in 30 d'],
  ];
  for (const [ahead, text] of cases) assert.equal(relative(now + ahead, now), text);
  assert.equal(relative(Number.NaN, now), '');
});
