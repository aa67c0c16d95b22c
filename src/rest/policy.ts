import type { Caller } from '../base/access.ts';
import type { Finding } from '../policy/cedar.ts';
import type { Publication } from '../policy/publish.ts';
import type { PolicySet } from '../policy/store.ts';
import type * as wire from '../wire/policy.ts';
import { checkPolicies, policyFindings, policySet, publishPolicies } from '../wire/policy.ts';
import { type Operation, operation, type WriteOptions } from './operation.ts';
import { timeText } from './render.ts';

/** What the routes under `/v1/policy` need. Each asks policy. */
export interface Policies {
  show(caller: Caller): Promise<PolicySet>;
  /** Everything that stands against publishing a text; changes nothing. */
  check(caller: Caller, text: string): Promise<readonly Finding[]>;
  publish(caller: Caller, publication: Publication, options: WriteOptions): Promise<PolicySet>;
}

/** Octets: the largest set with every character escaped as JSON allows. */
const BODY_LIMIT = 256 * 1024;

export function policyOperations(policies: Policies): Operation[] {
  return [
    operation({
      id: 'getPolicy',
      method: 'GET',
      path: '/v1/policy',
      access: 'caller',
      action: 'policy.read',
      summary: 'The policy set in force.',
      answer: policySet,
      example: { answer: EXAMPLE },
      handle: async ({ caller }) => policyAnswer(await policies.show(caller)),
    }),
    operation({
      id: 'checkPolicy',
      method: 'POST',
      path: '/v1/policy/check',
      access: 'caller',
      action: 'policy.read',
      summary: 'Says what stands against publishing a policy set. Changes nothing.',
      body: checkPolicies,
      bodyLimit: BODY_LIMIT,
      answer: policyFindings,
      example: { body: { text: EXAMPLE.text }, answer: { errors: [], warnings: [] } },
      async handle({ caller, body }) {
        const findings = await policies.check(caller, body.text);
        return {
          errors: findings.filter((finding) => finding.severity === 'error'),
          warnings: findings.filter((finding) => finding.severity === 'warning'),
        };
      },
    }),
    operation({
      id: 'publishPolicy',
      method: 'PUT',
      path: '/v1/policy',
      access: 'caller',
      action: 'policy.publish',
      summary: 'Puts a policy set in force, in place of the one before. One with errors or warnings is refused.',
      body: publishPolicies,
      bodyLimit: BODY_LIMIT,
      answer: policySet,
      example: { body: { text: EXAMPLE.text, after: 1 }, answer: EXAMPLE },
      handle: async ({ caller, body, idempotency }) =>
        policyAnswer(await policies.publish(caller, body, { idempotency })),
    }),
  ];
}

function policyAnswer({ version, digest, text, publishedAt, publishedBy }: PolicySet): wire.PolicySet {
  return { version, digest, text, published_at: timeText(publishedAt), published_by: publishedBy };
}

const EXAMPLE: wire.PolicySet = {
  version: 2,
  digest: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  text: '@id("operators-run-the-authority")\n@description("Operators may do everything.")\npermit (principal is Operator, action, resource);\n',
  published_at: '2026-11-22T14:03:22.000Z',
  published_by: 'spiffe://agents.example.com/operator/ada',
};
