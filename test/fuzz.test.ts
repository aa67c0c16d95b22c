import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCorpus } from './fuzz/corpus.ts';
import { readTree, writeTree } from './fuzz/der-tree.ts';
import { fuzz, isDefect, run } from './fuzz/engine.ts';
import { mutate } from './fuzz/mutate.ts';
import { choices } from './fuzz/random.ts';
import { corpusOf, PLANTED } from './fuzz/targets/planted.ts';
import { TARGETS } from './fuzz/targets.ts';

/* A short run of `npm run fuzz`, the same at every time: the corpus once, then a few thousand mutations in all. */

const MUTATIONS = 300;

for (const target of TARGETS) {
  test(`${target.name}: the corpus comes out as its names say, mutations end in a typed refusal`, () => {
    const samples = readCorpus(target.name);
    assert.ok(samples.some(({ accepted }) => accepted));
    for (const { file, bytes, accepted } of samples) {
      const { outcome } = run(target, bytes);
      assert.ok(!isDefect(outcome), `${file}: ${JSON.stringify(outcome)}`);
      assert.equal(outcome === 'accepted', accepted, `${file}: ${String(outcome)}`);
    }
    const corpus = samples.map(({ bytes }) => bytes);
    const report = fuzz(target, corpus, { seed: 1, inputs: corpus.length + MUTATIONS, ms: Number.POSITIVE_INFINITY });
    assert.deepEqual(report.defects, []);
    assert.equal(report.inputs, corpus.length + MUTATIONS);
  });
}

test('a planted crash and a planted forgery are found', () => {
  for (const target of PLANTED.filter(({ name }) => !name.includes('too long'))) {
    const corpus = readCorpus(corpusOf(target)).map(({ bytes }) => bytes);
    const { defects } = fuzz(target, corpus, {
      seed: 1,
      inputs: 20_000,
      ms: Number.POSITIVE_INFINITY,
      untilDefect: true,
    });
    assert.notEqual(defects.length, 0, target.name);
  }
});

test('slow code is told from a pause', () => {
  const wait = (ms: number): void => {
    for (const end = performance.now() + ms; performance.now() < end; );
  };
  let calls = 0;
  const slowAtFirst = { ...TARGETS[0]!, run: () => (calls++ === 0 ? wait(120) : undefined) };
  assert.equal(run(slowAtFirst, new Uint8Array(1)).outcome, 'accepted');
  const outcome = run({ ...TARGETS[0]!, run: () => wait(120) }, new Uint8Array(1)).outcome;
  assert.ok(isDefect(outcome) && outcome.kind === 'slow');
});

test('the same seed makes the same inputs, another seed others', () => {
  for (const target of TARGETS) {
    const corpus = readCorpus(target.name).map(({ bytes }) => bytes);
    const inputs = (seed: number): Buffer => {
      const random = choices(seed);
      return Buffer.concat(Array.from({ length: 20 }, () => mutate(target, corpus, random)));
    };
    assert.ok(inputs(1).equals(inputs(1)), target.name);
    assert.ok(!inputs(1).equals(inputs(2)), target.name);
  }
});

test('a tree written again is what was read', () => {
  for (const { bytes, accepted } of ['certificate', 'csr', 'crl'].flatMap(readCorpus)) {
    if (accepted) assert.deepEqual(Buffer.from(writeTree(readTree(bytes)!)), Buffer.from(bytes));
  }
});
