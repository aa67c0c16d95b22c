import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isListEnding } from './rotation.ts';

const DAY = 86_400_000;
const END = 1000 * DAY;

for (const [name, kind, nextUpdate, now, want] of [
  ['of a root with 60 days to go', 'root', 500 * DAY, 440 * DAY, true],
  ['of a root a moment before that', 'root', 500 * DAY, 440 * DAY - 1, false],
  ['of an intermediate with 15 days to go', 'intermediate', 500 * DAY, 485 * DAY, true],
  ['of an intermediate a moment before that', 'intermediate', 500 * DAY, 485 * DAY - 1, false],
  ['that is over', 'intermediate', 500 * DAY, 501 * DAY, true],
  ['that could not last longer', 'intermediate', END, END - DAY, false],
] as const) {
  test(`a list ${name}: ${want ? 'the next one is due' : 'it stays'}`, () => {
    assert.equal(isListEnding({ kind, certificate: { notAfter: END } }, { nextUpdate }, now), want);
  });
}
