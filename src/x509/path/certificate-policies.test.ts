import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANY_POLICY } from '../extensions/certificate-policies.ts';
import { type PolicyFacts, policyFault } from './certificate-policies.ts';

const PLAIN: PolicyFacts = {
  policies: undefined,
  mappings: undefined,
  requireExplicitPolicy: undefined,
  inhibitPolicyMapping: undefined,
  inhibitAnyPolicy: undefined,
  selfIssued: false,
};
const say = (facts: Partial<PolicyFacts>): PolicyFacts => ({ ...PLAIN, ...facts });
const demand = { requireExplicitPolicy: 0 };
const A = '1.2.3.1';
const B = '1.2.3.2';
const aToB = [{ issuerPolicy: A, subjectPolicy: B }];

/** Paths after the anchor, and whether their policies hold. */
const CASES: Readonly<Record<string, [boolean, Partial<PolicyFacts>[]]>> = {
  'nobody demands a policy': [true, [{}, {}]],
  'demanded and there': [true, [{ ...demand, policies: [A] }, { policies: [A] }]],
  'demanded and absent from the leaf': [false, [{ ...demand, policies: [A] }, {}]],
  'demanded and another one': [false, [{ ...demand, policies: [A] }, { policies: [B] }]],
  'demanded and lost on the way': [false, [{ ...demand, policies: [A] }, {}, { policies: [A] }]],
  'demanded by the leaf alone': [false, [{}, demand]],
  'demanded two certificates on': [true, [{ requireExplicitPolicy: 2 }, {}]],
  'demanded three certificates on, and there are three': [false, [{ requireExplicitPolicy: 2 }, {}, {}]],
  'the same with one self-issued': [true, [{ requireExplicitPolicy: 2 }, { selfIssued: true }, {}]],
  'demanded one certificate on': [false, [{ requireExplicitPolicy: 1 }, {}]],
  'any policy passes what is listed below': [true, [{ ...demand, policies: [ANY_POLICY] }, { policies: [A] }]],
  'any policy in the leaf': [true, [{ ...demand, policies: [A] }, { policies: [ANY_POLICY] }]],
  'any policy inhibited': [false, [{ ...demand, policies: [A], inhibitAnyPolicy: 0 }, { policies: [ANY_POLICY] }]],
  'any policy inhibited, self-issued': [
    true,
    [
      { ...demand, policies: [A], inhibitAnyPolicy: 0 },
      { selfIssued: true, policies: [ANY_POLICY] },
      { policies: [A] },
    ],
  ],
  mapped: [true, [{ ...demand, policies: [A], mappings: aToB }, { policies: [B] }]],
  'mapped away': [false, [{ ...demand, policies: [A], mappings: aToB }, { policies: [A] }]],
  'mapping inhibited': [
    false,
    [{ ...demand, policies: [A], inhibitPolicyMapping: 0 }, { policies: [A], mappings: aToB }, { policies: [B] }],
  ],
  'mapping inhibited deletes the policy': [
    false,
    [{ ...demand, policies: [A], inhibitPolicyMapping: 0 }, { policies: [A], mappings: aToB }, { policies: [A] }],
  ],
  'any policy is not mapped': [false, [{ mappings: [{ issuerPolicy: ANY_POLICY, subjectPolicy: A }] }, {}]],
};

for (const [title, [holds, path]] of Object.entries(CASES)) {
  test(title, () => assert.equal(policyFault([PLAIN, ...path.map(say)]) === undefined, holds));
}

test('what the anchor demands counts', () => {
  assert.ok(policyFault([say(demand), PLAIN]));
  assert.equal(policyFault([say(demand), say({ policies: [A] })]), undefined);
});
