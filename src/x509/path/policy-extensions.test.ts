import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { CERTIFICATE_POLICIES, encodeCertificatePolicies } from '../extensions/certificate-policies.ts';
import { RFC5280 } from './policy.ts';
import {
  decodeInhibitAnyPolicy,
  decodePolicyConstraints,
  decodePolicyMappings,
  INHIBIT_ANY_POLICY,
  POLICY_CONSTRAINTS,
  POLICY_MAPPINGS,
} from './policy-extensions.ts';
import { extension, issue, NOW } from './testdata/issue.ts';
import { validatePath } from './validate.ts';

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
const MAPPING = hex('300a' + '3008' + '06022a03' + '06022a04'); // 1.2.3 to 1.2.4
const REQUIRE = hex('3003800100');

test('the three extensions decode', () => {
  assert.deepEqual(decodePolicyMappings(MAPPING), [{ issuerPolicy: '1.2.3', subjectPolicy: '1.2.4' }]);
  assert.deepEqual(decodePolicyConstraints(hex('3006800101810102')), {
    requireExplicitPolicy: 1,
    inhibitPolicyMapping: 2,
  });
  assert.equal(decodeInhibitAnyPolicy(hex('020105')), 5);
});

test('malformed ones are refused', () => {
  const mappings = ['3000', '', '300a300806022a0306022a0400', '3006300406022a03'];
  for (const text of mappings) assert.throws(() => decodePolicyMappings(hex(text)), isWritError);
  const constraints = ['3000', '3003820100', '3006810102800101', '30038001ff'];
  for (const text of constraints) assert.throws(() => decodePolicyConstraints(hex(text)), isWritError);
  for (const text of ['0201ff', '02010500', '0500'])
    assert.throws(() => decodeInhibitAnyPolicy(hex(text)), isWritError);
});

test('a path keeps the policies that its authorities demand', () => {
  const policies = (...list: string[]) => extension(CERTIFICATE_POLICIES, encodeCertificatePolicies(list));
  const root = issue('root', { ca: true });
  const middle = issue('middle', {
    ca: true,
    issuer: root,
    extensions: {
      [CERTIFICATE_POLICIES]: policies('1.2.3'),
      [POLICY_MAPPINGS]: extension(POLICY_MAPPINGS, MAPPING, true),
      [POLICY_CONSTRAINTS]: extension(POLICY_CONSTRAINTS, REQUIRE, true),
      [INHIBIT_ANY_POLICY]: extension(INHIBIT_ANY_POLICY, hex('020100'), true),
    },
  });
  const outcome = (...list: string[]) => {
    const extensions = { [CERTIFICATE_POLICIES]: list.length === 0 ? undefined : policies(...list) };
    const leaf = issue('leaf', { issuer: middle, extensions }).certificate;
    const intermediates = [middle.certificate];
    const result = validatePath({ leaf, intermediates, anchors: [root.certificate], at: NOW, policy: RFC5280 });
    return result.valid ? 'valid' : result.reason;
  };
  assert.equal(outcome('1.2.4'), 'valid');
  assert.equal(outcome('1.2.3'), 'certificate_policy');
  assert.equal(outcome('2.5.29.32.0'), 'certificate_policy');
  assert.equal(outcome(), 'certificate_policy');
});
