import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { unmatched } from '../../wire/match-facts.ts';
import { entryOf } from '../testdata/node-server.ts';
import { EntryIndex } from './entry-index.ts';

const FACTS = { 'unix:uid': ['1000'], 'unix:path': ['/opt/a/b'], 'k8s:label/app': ['x=y', 'z'] };

test('all wishes of an entry must hold; a star asks for a beginning', () => {
  for (const [match, missing] of [
    [['unix:uid=1000'], []],
    [['unix:uid=100'], ['unix:uid=100']],
    [['unix:uid=10*'], []],
    [['unix:uid=*'], []],
    [['unix:gid=*'], ['unix:gid=*']],
    [['unix:uid=1000', 'unix:path=/opt/*'], []],
    [['unix:uid=1000', 'unix:path=/usr/*'], ['unix:path=/usr/*']],
    [['k8s:label/app=x=y', 'k8s:label/app=z'], []],
    [['unix:uid=1000*'], []],
    [['unix:uid=1000**'], ['unix:uid=1000**']],
    [['toString=x'], ['toString=x']],
  ] as const) {
    assert.deepEqual(unmatched(match, FACTS), missing, match.join());
  }
});

test('the index finds what trying each entry would, the oldest first', () => {
  const wish = fc.tuple(
    fc.constantFrom('unix:uid', 'unix:path', 'unix:user'),
    fc.constantFrom('a', 'ab', 'abc', 'b', '*', 'a*', 'ab*'),
  );
  const facts = fc.dictionary(
    fc.constantFrom('unix:uid', 'unix:path', 'unix:user'),
    fc.uniqueArray(fc.constantFrom('a', 'ab', 'abc', 'b'), { maxLength: 3 }),
  );
  fc.assert(
    fc.property(fc.array(fc.array(wish, { minLength: 1, maxLength: 3 }), { maxLength: 12 }), facts, (all, seen) => {
      const entries = all.map((wishes, n) =>
        entryOf({ id: String(n).padStart(26, '0'), match: wishes.map(([name, value]) => `${name}=${value}`) }),
      );
      const tried = entries.filter(({ match }) => unmatched(match, seen).length === 0).map(({ id }) => id);
      assert.deepEqual(
        new EntryIndex([...entries].reverse()).match(seen).map(({ id }) => id),
        tried,
      );
    }),
  );
});
