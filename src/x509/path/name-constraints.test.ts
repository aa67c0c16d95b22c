import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { ia5String, oid, sequence, setOf } from '../../der/writer.ts';
import {
  CLIENT_AUTH,
  EXTENDED_KEY_USAGE,
  encodeExtendedKeyUsage,
  SERVER_AUTH,
} from '../extensions/extended-key-usage.ts';
import type { NameConstraints } from '../extensions/name-constraints.ts';
import type { GeneralName } from '../general-name.ts';
import { encodeName, parseName } from '../name.ts';
import { parseIpAddress } from './ip-address.ts';
import { newBudget } from './limits.ts';
import { constrainedNames, permits, readConstraints } from './name-constraints.ts';
import { RFC5280 } from './policy.ts';
import { extension, issue, NOW } from './testdata/issue.ts';
import { validatePath } from './validate.ts';

const dns = (value: string): GeneralName => ({ kind: 'dns', value });
const uri = (value: string): GeneralName => ({ kind: 'uri', value });
const email = (value: string): GeneralName => ({ kind: 'email', value });
const ip = (value: string): GeneralName => ({ kind: 'ip', value: parseIpAddress(value)! });
const network = (address: string, mask: string): GeneralName => ({
  kind: 'ip',
  value: Buffer.concat([parseIpAddress(address)!, parseIpAddress(mask)!]),
});
const directory = (name: string): GeneralName => ({ kind: 'directory', value: parseName(encodeName([['O', name]])) });
const other: GeneralName = { kind: 'other', tag: 0x88, value: Uint8Array.of(0x88, 1, 42) };
const EMPTY = parseName(encodeName([]));

const allows = (constraints: NameConstraints, ...names: GeneralName[]): boolean =>
  permits(readConstraints(constraints), constrainedNames(EMPTY, names), newBudget());

test('a permitted subtree confines its own form alone', () => {
  const constraints = { permitted: [dns('a.test'), dns('b.test')], excluded: [] };
  assert.ok(allows(constraints, dns('x.b.test'), uri('spiffe://c.test/x'), other));
  assert.ok(!allows(constraints, dns('x.b.test'), dns('c.test')));
});

test('an excluded subtree beats a permitted one', () => {
  const constraints = { permitted: [dns('a.test')], excluded: [dns('x.a.test')] };
  assert.ok(allows(constraints, dns('y.a.test')));
  assert.ok(!allows(constraints, dns('x.a.test')));
});

test('a form that cannot be compared is refused where it is constrained', () => {
  assert.ok(!allows({ permitted: [other], excluded: [] }, other));
  assert.ok(!allows({ permitted: [], excluded: [other] }, other));
  assert.ok(allows({ permitted: [other], excluded: [other] }, dns('a.test')));
});

test('the subject and the mail addresses in it are names, too', () => {
  const mail = sequence(oid('1.2.840.113549.1.9.1'), ia5String('a@x.test'));
  const subject = parseName(sequence(setOf(mail)));
  const names = constrainedNames(subject, []);
  assert.deepEqual(
    names.map(({ form }) => form),
    ['directory', 'email'],
  );
  const allowed = (permitted: GeneralName[]) =>
    permits(readConstraints({ permitted, excluded: [] }), names, newBudget());
  assert.ok(allowed([email('x.test')]));
  assert.ok(!allowed([email('y.test')]));
  assert.ok(!allowed([directory('Example')]));
  const broken = parseName(sequence(setOf(sequence(oid('1.2.840.113549.1.9.1'), ia5String('a@b@c.test')))));
  assert.throws(
    () => constrainedNames(broken, []),
    (error) => isWritError(error, 'bad_certificate'),
  );
});

test('a directory subtree confines the subject without regard to case', () => {
  const names = constrainedNames(
    parseName(
      encodeName([
        ['O', 'EXAMPLE'],
        ['CN', 'x'],
      ]),
    ),
    [],
  );
  const confine = (base: GeneralName) =>
    permits(readConstraints({ permitted: [base], excluded: [] }), names, newBudget());
  assert.ok(confine(directory('example')));
  assert.ok(!confine(directory('Other')));
  assert.ok(allows({ permitted: [directory('example')], excluded: [] }, dns('a.test')), 'an empty subject is no name');
});

test('names and bases that break their syntax are refused', () => {
  for (const name of [dns('a_b.test'), dns('192.0.2.1'), uri('/relative'), uri('no scheme'), email('a@b@c.test')]) {
    assert.throws(
      () => constrainedNames(EMPTY, [name]),
      (error) => isWritError(error, 'bad_certificate'),
    );
  }
  for (const base of [dns('.a.test'), dns('*.a.test'), uri('https://a.test'), uri(''), email('a@b@c.test')]) {
    assert.throws(
      () => readConstraints({ permitted: [base], excluded: [] }),
      (error) => isWritError(error, 'bad_certificate'),
    );
  }
});

test('comparisons are counted', () => {
  const constraints = readConstraints({ permitted: [dns('a.test'), dns('b.test')], excluded: [dns('c.test')] });
  const names = constrainedNames(EMPTY, [dns('a.test'), dns('b.test')]);
  assert.ok(permits(constraints, names, newBudget({ steps: 0, signatures: 0, comparisons: 6 })));
  const tight = newBudget({ steps: 0, signatures: 0, comparisons: 5 });
  assert.throws(
    () => permits(constraints, names, tight),
    (error) => isWritError(error, 'too_large'),
  );
});

/** What Writ's own authorities carry: one trust domain, loopback for development, nothing else. */
const WRIT: NameConstraints = {
  permitted: [
    uri('agents.test'),
    dns('agents.test'),
    dns('localhost'),
    email('nobody@invalid'),
    network('127.0.0.0', '255.0.0.0'),
    network('::1', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'),
  ],
  excluded: [email('nobody@invalid')],
};

/** The same for production: no address at all. */
const STRICT: NameConstraints = {
  permitted: [uri('agents.test'), dns('agents.test'), email('nobody@invalid')],
  excluded: [email('nobody@invalid'), network('0.0.0.0', '0.0.0.0'), network('::', '::')],
};

const AGENT = 'spiffe://agents.test/agent/planner/1';

/** Alternative names of a leaf, and whether they pass under a development set-up and in production. */
const LEAVES: readonly [GeneralName[], boolean, boolean][] = [
  [[uri(AGENT)], true, true],
  [[uri(AGENT), dns('api.agents.test')], true, true],
  [[uri(AGENT), dns('agents.test.evil.test')], false, false],
  [[uri(AGENT), dns('localhost'), ip('127.0.0.1'), ip('::1')], true, false],
  [[uri(AGENT), ip('127.0.0.1')], true, false],
  [[uri(AGENT), ip('192.0.2.1')], false, false],
  [[uri(AGENT), ip('2001:db8::1')], false, false],
  [[uri('spiffe://other.test/agent/planner/1')], false, false],
  [[uri('spiffe://x.agents.test/agent/planner/1')], false, false],
  [[uri('spiffe://agents.test@other.test/agent/planner/1')], false, false],
  [[uri('urn:agents.test')], false, false],
  [[uri(AGENT), email('nobody@invalid')], false, false],
  [[uri(AGENT), email('someone@agents.test')], false, false],
];

for (const [title, constraints, column] of [
  ['development', WRIT, 1],
  ['production', STRICT, 2],
] as const) {
  test(`a SPIFFE chain is confined to its trust domain (${title})`, () => {
    const names = [uri('spiffe://agents.test')];
    const root = issue('Root', { ca: true, constraints, names });
    const middle = issue('Intermediate', { ca: true, issuer: root, constraints, names, pathLength: 1 });
    const issuing = issue('Issuing', { ca: true, issuer: middle, constraints, names, pathLength: 0 });
    const usage = extension(EXTENDED_KEY_USAGE, encodeExtendedKeyUsage([SERVER_AUTH, CLIENT_AUTH]));
    for (const row of LEAVES) {
      const leaf = issue('', { issuer: issuing, names: row[0], extensions: { [EXTENDED_KEY_USAGE]: usage } });
      for (const purpose of ['server', 'client'] as const) {
        const result = validatePath({
          leaf: leaf.certificate,
          intermediates: [issuing.certificate, middle.certificate],
          anchors: [root.certificate],
          at: NOW,
          policy: RFC5280,
          purpose,
          keyUsage: 'digitalSignature',
        });
        assert.equal(result.valid, row[column], JSON.stringify(row[0].map(({ value }) => value.toString())));
        if (!result.valid) assert.equal(result.reason, 'name_constraint');
      }
    }
  });
}
