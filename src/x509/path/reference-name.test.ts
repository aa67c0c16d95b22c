import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GeneralName } from '../general-name.ts';
import { isNamed, type ReferenceName } from './reference-name.ts';

const NAMES: readonly GeneralName[] = [
  { kind: 'dns', value: 'A.test' },
  { kind: 'dns', value: '*.b.test' },
  { kind: 'dns', value: '192.0.2.9' },
  { kind: 'ip', value: Uint8Array.of(192, 0, 2, 1) },
  { kind: 'email', value: 'Me@A.test' },
  { kind: 'uri', value: 'spiffe://a.test/agent/x' },
];

const CASES: readonly [ReferenceName, boolean][] = [
  [{ kind: 'dns', value: 'a.TEST' }, true],
  [{ kind: 'dns', value: 'x.b.test' }, true],
  [{ kind: 'dns', value: '*.b.test' }, false],
  [{ kind: 'dns', value: '192.0.2.9' }, false],
  [{ kind: 'dns', value: '192.0.2.1' }, false],
  [{ kind: 'dns', value: '' }, false],
  [{ kind: 'ip', value: '192.0.2.1' }, true],
  [{ kind: 'ip', value: '192.0.2.9' }, false],
  [{ kind: 'ip', value: '192.000.002.001' }, false],
  [{ kind: 'email', value: 'Me@a.TEST' }, true],
  [{ kind: 'email', value: 'me@a.test' }, false],
  [{ kind: 'email', value: 'a.test' }, false],
  [{ kind: 'uri', value: 'spiffe://a.test/agent/x' }, true],
  [{ kind: 'uri', value: 'spiffe://A.test/agent/x' }, false],
];

for (const [wanted, found] of CASES) {
  test(`${wanted.kind} ${wanted.value} ${found ? 'is' : 'is not'} there`, () => {
    assert.equal(isNamed(NAMES, wanted, true), found);
  });
}

test('wildcards stand for nothing where the policy says so', () => {
  assert.ok(!isNamed(NAMES, { kind: 'dns', value: 'x.b.test' }, false));
});

test('no names carry no name', () => {
  assert.ok(!isNamed([], { kind: 'email', value: 'not a mailbox' }, true));
});
