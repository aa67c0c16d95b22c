import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { Cedar } from '../../policy/cedar.ts';
import { checkPolicy } from '../../policy/publish.ts';
import { LARGEST } from '../../policy/rules.ts';
import { defaultPolicyText, schemaText } from '../../policy/text-files.ts';
import { PolicyChecker } from './policy-checker.ts';

const rule = (id: number): string =>
  `@id("r${id}") @description("D.") permit (principal, action == Action::"token.create", resource) when { context.uses > ${id} };\n`;

/** As much as a set may hold. */
const largest = Array.from({ length: Math.floor(LARGEST / rule(1000).length) }, (_, at) => rule(at)).join('');

test('what the largest set costs is not paid by the thread that asks', async () => {
  const checker = new PolicyChecker();
  assert.deepEqual(await checker.check(defaultPolicyText()), []);
  const cedar = new Cedar(schemaText());
  const began = performance.now();
  assert.deepEqual(checkPolicy(cedar, largest), []);
  const alone = performance.now() - began;
  const before = performance.eventLoopUtilization();
  assert.deepEqual(await checker.check(largest), []);
  const { active } = performance.eventLoopUtilization(before);
  assert.ok(active < alone / 2, `${active} ms of this thread, where it takes ${alone} ms`);
});

test('findings come back as they are, also after a text that broke Cedar', async () => {
  const checker = new PolicyChecker();
  const texts = [
    'permit (principal, action, resource);',
    `${rule(1)}${rule(1)}`,
    `@id("a") permit (${'!'.repeat(5000)}`,
  ];
  const cedar = new Cedar(schemaText());
  const found = await Promise.all([...texts, texts[0]!].map((text) => checker.check(text)));
  for (const [at, text] of texts.slice(0, 2).entries()) assert.deepEqual(found[at], checkPolicy(cedar, text));
  assert.ok(found[2]!.length > 0);
  assert.deepEqual(found[3], found[0]);
});

test('a text that takes too long is given up, and the next is not kept from its answer', async () => {
  const checker = new PolicyChecker({ time: 1 });
  assert.match((await checker.check(largest))[0]!.message, /takes too long/);
  assert.match((await checker.check(largest))[0]!.message, /takes too long/);
});

test('no more than a few wait', async () => {
  const checker = new PolicyChecker({ waiting: 2 });
  const [first, second] = [checker.check(largest), checker.check(largest)];
  await assert.rejects(checker.check(rule(1)), (error) => isWritError(error, 'unavailable'));
  assert.deepEqual(await Promise.all([first, second]), [[], []]);
  assert.deepEqual(await checker.check(rule(1)), []);
});
