import type { ShownAttestor } from '../attest/attestor/attestor.ts';
import type { CheckedEvidence } from '../attest/check-evidence.ts';
import type { Caller } from '../base/access.ts';
import type { Page, PageRequest } from '../db/cursor.ts';
import type * as wire from '../wire/attestor.ts';
import { addAttestor, attestor, attestorPage, checkEvidence, checkedEvidence } from '../wire/attestor.ts';
import { pageQuery } from '../wire/page.ts';
import { byName } from '../wire/path.ts';
import { type Operation, operation, type WriteOptions } from './operation.ts';
import { given, hexText, pageAnswer, timeText } from './render.ts';

/** What the routes under `/v1/attestors` need. Each asks policy. */
export interface Attestors {
  add(caller: Caller, input: wire.AddAttestor, options: WriteOptions): Promise<ShownAttestor>;
  list(caller: Caller, page: PageRequest): Promise<Page<ShownAttestor>>;
  show(caller: Caller, name: string): Promise<ShownAttestor>;
  remove(caller: Caller, name: string, options: WriteOptions): Promise<ShownAttestor>;
  check(caller: Caller, given: wire.CheckEvidence & { readonly name: string }): Promise<CheckedEvidence>;
}

export function attestorOperations(attestors: Attestors): Operation[] {
  return [
    operation({
      id: 'addAttestor',
      method: 'POST',
      path: '/v1/attestors',
      access: 'caller',
      action: 'attestor.manage',
      summary: 'Adds a source of evidence. It lets nobody in before a registration entry names it.',
      body: addAttestor,
      bodyLimit: 512 * 1024,
      status: 201,
      answer: attestor,
      example: { body: { name: EXAMPLE.name, settings: EXAMPLE.settings }, answer: EXAMPLE },
      handle: async ({ caller, body, idempotency }) =>
        attestorAnswer(await attestors.add(caller, body, { idempotency })),
    }),
    operation({
      id: 'listAttestors',
      method: 'GET',
      path: '/v1/attestors',
      access: 'caller',
      action: 'attestor.read',
      summary: 'Sources of evidence, by name.',
      query: pageQuery,
      answer: attestorPage,
      example: { answer: { items: [EXAMPLE] } },
      handle: async ({ caller, query }) => pageAnswer(await attestors.list(caller, query), attestorAnswer),
    }),
    operation({
      id: 'getAttestor',
      method: 'GET',
      path: '/v1/attestors/{name}',
      access: 'caller',
      action: 'attestor.read',
      summary: 'One source of evidence.',
      params: byName,
      answer: attestor,
      example: { answer: EXAMPLE },
      handle: async ({ caller, params: { name } }) => attestorAnswer(await attestors.show(caller, name)),
    }),
    operation({
      id: 'checkEvidence',
      method: 'POST',
      path: '/v1/attestors/{name}/check',
      access: 'caller',
      action: 'attestor.read',
      summary:
        'What evidence would come to: whether it is believed, what it says, and what each entry lacks. Lets nobody in.',
      params: byName,
      body: checkEvidence,
      bodyLimit: 128 * 1024,
      holdsSecret: () => true,
      answer: checkedEvidence,
      example: {
        body: { evidence: { kind: 'oidc', attestor: 'github', token: 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln' } },
        answer: EXAMPLE_CHECKED,
      },
      handle: async ({ caller, params: { name }, body }) =>
        checkedAnswer(await attestors.check(caller, { ...body, name })),
    }),
    operation({
      id: 'removeAttestor',
      method: 'DELETE',
      path: '/v1/attestors/{name}',
      access: 'caller',
      action: 'attestor.manage',
      summary: 'Removes a source of evidence that no registration entry names. What it has let in stays.',
      params: byName,
      answer: attestor,
      example: { answer: EXAMPLE },
      handle: async ({ caller, params: { name }, idempotency }) =>
        attestorAnswer(await attestors.remove(caller, name, { idempotency })),
    }),
  ];
}

function attestorAnswer({ name, settings, entries, createdBy, createdAt }: ShownAttestor): wire.Attestor {
  return { name, settings, entries, created_by: createdBy, created_at: timeText(createdAt) };
}

function checkedAnswer({ digest, fault, spent, facts, tried }: CheckedEvidence): wire.CheckedEvidence {
  return {
    sha256: hexText(digest),
    believed: fault === undefined,
    ...given('fault', fault),
    spent,
    facts,
    entries: tried.map(({ entry: { id, agent }, missing }) => ({ id, name: agent, missing })),
  };
}

const EXAMPLE_CHECKED: wire.CheckedEvidence = {
  sha256: '5f2c1d7e8a90b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c',
  believed: true,
  spent: false,
  facts: { 'oidc:sub': ['repo:example/app:ref:refs/heads/main'] },
  entries: [{ id: '01kaj8wzzzzzzzzzzzzzzzzzzz', name: 'deployer', missing: [] }],
};

const EXAMPLE: wire.Attestor = {
  name: 'github',
  settings: {
    kind: 'oidc',
    parameters: { issuer: 'https://token.actions.githubusercontent.com', audience: 'agents.example.com' },
  },
  entries: 1,
  created_by: 'spiffe://agents.example.com/operator/ada',
  created_at: '2026-11-22T14:00:00.000Z',
};
