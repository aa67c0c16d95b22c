import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testAuthority } from '../../http/testdata/authority.ts';
import { nextRoots } from './roots.ts';

const now = Date.now();
const [held, spare, next, rogue] = ['Held', 'Spare', 'Next', 'Rogue'].map((name) => testAuthority(`${name} Root`));
const below = held!.authority('Intermediate');
const selfMade = testAuthority('Intermediate');
const [old, others] = [[held!.pem, spare!.pem], [below.pem]];

for (const [what, offered, further, want] of [
  ['nothing is said', [], others, old],
  ['the list is the same', old, others, old],
  ['a root goes', [spare!.pem], others, [spare!.pem]],
  ['a root comes from nowhere', [...old, rogue!.pem], others, old],
  ['all are replaced by one from nowhere', [rogue!.pem], others, old],
  ['a root goes for one from nowhere', [held!.pem, rogue!.pem], others, [held!.pem]],
  ['a root comes with a voucher in the chain', [...old, next!.pem], [held!.cross(next!).pem], [...old, next!.pem]],
  ['a root comes with its voucher beside it', [next!.pem, held!.cross(next!).pem], others, [next!.pem]],
  ['the voucher is for another root', [...old, rogue!.pem], [held!.cross(next!).pem], old],
  ['nobody who is held has signed the voucher', [...old, rogue!.pem], [next!.cross(rogue!).pem], old],
  ['it is signed by the new one itself', [...old, rogue!.pem], [rogue!.cross(rogue!).pem], old],
  ['it says the held one but has not its signature', [...old, rogue!.pem], [forged().pem], old],
  ['an authority below makes a root of itself', [...old, sameKey().pem], [limited().pem], old],
  ['another has its name', [...old, selfMade.pem], others, old],
  ['an authority below is offered as a root', [...old, below.pem], others, old],
  ['it has a voucher, and a limit', [...old, next!.pem], [held!.cross(next!, { pathLength: 1 }).pem], old],
  ['a root comes twice', [held!.pem, held!.pem], others, [held!.pem]],
] as const) {
  test(`roots when ${what}`, () => {
    assert.deepEqual(nextRoots(old, { offered, others: further }, now), want);
  });
}

test('a voucher holds as long as it lasts', () => {
  const answer = { offered: [...old, next!.pem], others: [held!.cross(next!).pem] };
  assert.deepEqual(nextRoots(old, answer, now + 25 * 3_600_000), old);
  assert.deepEqual(nextRoots(old, answer, now - 25 * 3_600_000), old);
});

/** By somebody who has the name of the held root, and not its key. */
function forged(): { readonly pem: string } {
  return testAuthority('Held Root').cross(rogue!);
}

/** The intermediate as its holder would make it a root: same name and key, signed by itself. */
function sameKey(): { readonly pem: string } {
  return below.cross(below);
}

/** The intermediate as Writ makes it: with room for one authority below. */
function limited(): { readonly pem: string } {
  return held!.cross(below, { pathLength: 1 });
}
