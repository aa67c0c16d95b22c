import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Cedar } from './cedar.ts';
import { LARGEST, readRules } from './rules.ts';
import { defaultPolicyText, schemaText } from './text-files.ts';

const cedar = new Cedar(schemaText());

/** A finding as `line:column severity message`. */
function findings(text: string): string[] {
  const read = readRules(cedar, text);
  return 'findings' in read ? read.findings.map((f) => `${f.line}:${f.column} ${f.severity} ${f.message}`) : [];
}

const rule = (id: string, rest = 'permit (principal, action, resource);'): string =>
  `@id("${id}") @description("D.") ${rest}`;

test('a set without fault gives its rules in the order of the text', () => {
  const text = ['z', 'a', 'm', ...Array.from({ length: 12 }, (_, i) => `n${i}`)].map((id) => rule(id)).join('\n');
  const read = readRules(cedar, text);
  assert.ok('rules' in read);
  assert.deepEqual([...read.rules.keys()].slice(0, 4), ['z', 'a', 'm', 'n0']);
  const { id, description, effect, needsApproval } = read.rules.get('z')!;
  assert.deepEqual(
    { id, description, effect, needsApproval },
    { id: 'z', description: 'D.', effect: 'permit', needsApproval: undefined },
  );
  const approved = readRules(cedar, `@needs_approval("2 of ca-officers") ${rule('x')}`);
  assert.ok('rules' in approved);
  assert.deepEqual(approved.rules.get('x')?.needsApproval, { count: 2, group: 'ca-officers' });
  assert.deepEqual(readRules(cedar, ''), { rules: new Map() }, 'nothing is permitted, which is no fault');
});

test('every fault is found, and where', () => {
  const table: [string, RegExp][] = [
    ['permit (principal, action, resource);', /^1:1 error a rule needs an @id/],
    ['@id("A b") permit (principal, action, resource);', /^1:1 error a rule needs an @id/],
    ['@id permit (principal, action, resource);', /^1:1 error a rule needs an @id/],
    [rule('guard.names'), /error a rule needs an @id/],
    ['@id("a") permit (principal, action, resource);', /error the rule a needs a @description/],
    ['@id("a") @description(" ") permit (principal, action, resource);', /error the rule a needs a @description/],
    ['@id("a") @description("a\\u{202e}b") permit (principal, action, resource);', /needs a @description/],
    [`${rule('a')}\n  ${rule('a')}`, /^2:3 error the id a is used twice/],
    [`@need_approval("2 of x") ${rule('a')}`, /the annotation @need_approval has no meaning/],
    [`@needs_approval("2, x") ${rule('a')}`, /needs an approval that reads like/],
    [`@needs_approval("0 of x") ${rule('a')}`, /needs an approval that reads like/],
    [`@needs_approval ${rule('a')}`, /needs an approval that reads like/],
    [`@needs_approval("2 of x") ${rule('a', 'forbid (principal, action, resource);')}`, /stands on a permit only/],
    ['@id("a") @id("b") permit (principal, action, resource);', /duplicate annotation/],
    [`// ä𝄞\n${rule('a', 'permit (principal, action resource);')}`, /^2:\d+ error unexpected token `resource`/],
    [rule('a', 'permit (principal == ?principal, action, resource);'), /templates/],
    [rule('a', 'permit (principal, action == Action::"agent.burn", resource);'), /error .*agent\.burn/],
    [`${rule('a')} // \ud800`, /^1:1 error the policy set is not Unicode text/],
    [rule('a', 'permit (principal is Robot, action, resource);'), /Robot/],
    [
      `// ä𝄞\n\n${rule('a')} ${rule('b', 'permit (principal, action == Action::"token.create", resource)\n  when { context.usess > 1 };')}`,
      /^4:10 error .*`usess`.*did you mean `uses`/,
    ],
    [rule('a', 'permit (principal, action == Action::"token.create", resource) when { context.uses > "1" };'), /error/],
    [
      rule('a', 'permit (principal, action == Action::"token.create", resource) when { context.workflow == "w" };'),
      /error/,
    ],
    [rule('a', 'permit (principal is Instance, action == Action::"agent.register", resource);'), /warning/],
    [rule('a', 'permit (principal, action, resource) when { false };'), /warning .*impossible/],
    [rule('a', 'permit (principal, action, resource is Agent) when { resource.team == "pаyments" };'), /warning/],
    ['x'.repeat(LARGEST + 1), /larger than/],
    [rule('a', `permit (principal, action, resource) when { ${'('.repeat(51)}true${')'.repeat(51)} };`), /50 deep/],
    [rule('a', `permit (principal, action, resource) when { ${'true && '.repeat(101)}true };`), /100 operators/],
    ['permit', /error/],
    ['\0', /error/],
  ];
  for (const [text, want] of table)
    assert.ok(
      findings(text).some((line) => want.test(line)),
      `${text}\n${findings(text)}`,
    );
});

test('brackets in strings and comments do not count as nesting', () => {
  const brackets = '('.repeat(200);
  const text = rule('a', `permit (principal, action, resource is Agent) when { resource.team == "\\"${brackets}" };`);
  assert.ok('rules' in readRules(cedar, `// ${brackets}\n${text}`));
});

// Each drives Cedar's parser off its stack, which brackets alone no longer do.
const BREAKING: [string, string][] = [
  ['sums', `${'1+'.repeat(7000)}1 == 1`],
  ['conditions', `${'if true then '.repeat(900)}true${' else false'.repeat(900)}`],
  ['attributes', `context${'.a'.repeat(14_000)} == 1`],
  ['conjunctions', `${'true && '.repeat(3500)}true`],
];
for (const [name, condition] of BREAKING) {
  test(`a text whose ${name} break Cedar is a finding, and that instance is not asked again`, () => {
    const own = new Cedar(schemaText());
    const breaking = rule('a', `permit (principal, action, resource) when { ${condition} };`);
    const read = readRules(own, breaking);
    assert.match('findings' in read ? read.findings[0]!.message : '', /nested too deeply/);
    assert.ok(own.broken);
    assert.ok('findings' in readRules(own, rule('a', 'permit (principal, action, resource);')), 'it is not believed');
  });
}

test('known valid texts skip the validator, and only under the same schema', () => {
  const impossible = rule('a', 'permit (principal, action, resource) when { false };');
  assert.ok('rules' in readRules(cedar, impossible, cedar.schemaDigest));
  assert.ok('findings' in readRules(cedar, impossible, 'another'));
});

test('whatever text comes, the answer is rules or findings with a place in it', () => {
  const words = defaultPolicyText().match(/[\s\S]{1,12}/g)!;
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc.array(fc.constantFrom(...words), { maxLength: 20 }).map((parts) => parts.join('')),
    fc.nat(defaultPolicyText().length).map((at) => defaultPolicyText().slice(0, at)),
  );
  fc.assert(
    fc.property(text, (given) => {
      const read = readRules(cedar, given);
      if ('rules' in read) return;
      assert.ok(read.findings.length > 0);
      const lines = given.split('\n');
      for (const { line, column } of read.findings) {
        assert.ok(line >= 1 && line <= lines.length);
        assert.ok(column >= 1 && column <= lines[line - 1]!.length + 1);
      }
    }),
    { numRuns: 30 },
  );
});
