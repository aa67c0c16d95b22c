import type { Caller } from '../base/access.ts';
import type { IssuedCertificate } from '../issuance/issued.ts';
import type { Operator } from '../registry/operator.ts';
import { type Stop, stop } from '../wire/cause.ts';
import { issuedCertificate } from '../wire/certificate.ts';
import type * as wire from '../wire/operator.ts';
import { addOperator, operator, operatorList } from '../wire/operator.ts';
import { byName } from '../wire/path.ts';
import { EXAMPLE_ISSUED, issuedAnswer, pemOfMany } from './certificate-answers.ts';
import { decodeCsr } from './csr.ts';
import { type Operation, operation, type WriteOptions } from './operation.ts';
import { given, givenTime, hexText, timeText } from './render.ts';

/** What the routes under `/v1/operators` need. Each asks policy. */
export interface Operators {
  list(caller: Caller): Promise<readonly Operator[]>;
  add(
    caller: Caller,
    request: Omit<wire.AddOperator, 'csr'> & { readonly csr: Uint8Array },
    options: WriteOptions,
  ): Promise<IssuedCertificate>;
  remove(caller: Caller, target: { readonly operator: string } & Stop, options: WriteOptions): Promise<Operator>;
}

export function operatorOperations(operators: Operators): Operation[] {
  const pemOf = pemOfMany();
  return [
    operation({
      id: 'listOperators',
      method: 'GET',
      path: '/v1/operators',
      access: 'caller',
      action: 'operator.read',
      summary: 'Who runs the authority.',
      answer: operatorList,
      example: { answer: { items: [EXAMPLE] } },
      handle: async ({ caller }) => ({ items: (await operators.list(caller)).map(operatorAnswer) }),
    }),
    operation({
      id: 'addOperator',
      method: 'POST',
      path: '/v1/operators',
      access: 'caller',
      action: 'operator.add',
      summary: 'Adds an operator, and certifies the key that they made themselves.',
      body: addOperator,
      status: 201,
      answer: issuedCertificate,
      example: {
        body: { name: 'grace', csr: EXAMPLE_CSR, email: 'grace@example.com' },
        answer: { ...WITHOUT_INSTANCE, kind: 'operator', name: 'grace', profile: 'operator' },
      },
      async handle({ caller, body, idempotency }) {
        const request = { ...body, csr: decodeCsr(body.csr) };
        return issuedAnswer(await operators.add(caller, request, { idempotency }), pemOf);
      },
    }),
    operation({
      id: 'removeOperator',
      method: 'POST',
      path: '/v1/operators/{name}/remove',
      access: 'caller',
      action: 'operator.remove',
      summary: 'Removes an operator for ever: certificates are revoked, join tokens withdrawn, consents void.',
      params: byName,
      body: stop,
      answer: operator,
      example: { body: { cause: 'owner_withdrawn' }, answer: { ...EXAMPLE, status: 'removed', serials: [] } },
      handle: async ({ caller, params: { name }, body, idempotency }) =>
        operatorAnswer(await operators.remove(caller, { operator: name, ...body }, { idempotency })),
    }),
  ];
}

function operatorAnswer({ name, person, status, createdAt, removedAt, serials }: Operator): wire.Operator {
  return {
    name,
    ...given('person', person === '' ? undefined : person),
    status,
    created_at: timeText(createdAt),
    ...givenTime('removed_at', removedAt),
    serials: serials.map(hexText),
  };
}

const { instance: _, ...WITHOUT_INSTANCE } = EXAMPLE_ISSUED;

const EXAMPLE_CSR = '-----BEGIN CERTIFICATE REQUEST-----\nMIHG…\n-----END CERTIFICATE REQUEST-----\n';

const EXAMPLE: wire.Operator = {
  name: 'ada',
  person: 'ada',
  status: 'active',
  created_at: '2026-11-22T14:03:22.000Z',
  serials: ['019ac9f0d30000278d00a1b2c3d4e5f607182930'],
};
