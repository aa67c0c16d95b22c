import type { InstanceEvidence } from '../attest/evidence-store.ts';
import type { Caller } from '../base/access.ts';
import type { Instance } from '../registry/instance.ts';
import { type Stop, stop } from '../wire/cause.ts';
import type * as wire from '../wire/instance.ts';
import { instance } from '../wire/instance.ts';
import { byId } from '../wire/path.ts';
import { type Operation, operation, type WriteOptions } from './operation.ts';
import { given, givenTime, hexText, timeText } from './render.ts';

/** What the routes under `/v1/instances` need. Each asks policy. */
export interface Instances {
  show(caller: Caller, id: string): Promise<Instance & { readonly evidence?: InstanceEvidence }>;
  /** Burns the id and revokes its certificates. */
  stop(caller: Caller, target: { readonly instance: string } & Stop, options: WriteOptions): Promise<Instance>;
}

export function instanceOperations(instances: Instances): Operation[] {
  return [
    operation({
      id: 'getInstance',
      method: 'GET',
      path: '/v1/instances/{id}',
      access: 'caller',
      action: 'agent.read',
      summary: 'One running copy of an agent or service.',
      params: byId,
      answer: instance,
      example: { answer: EXAMPLE },
      async handle({ caller, params: { id } }) {
        const found = await instances.show(caller, id);
        return { ...instanceAnswer(found), ...given('evidence', found.evidence && evidenceAnswer(found.evidence)) };
      },
    }),
    operation({
      id: 'stopInstance',
      method: 'POST',
      path: '/v1/instances/{id}/stop',
      access: 'caller',
      action: 'instance.stop',
      byNodes: true,
      summary: 'Stops it for good: its id is burnt and its certificates are revoked.',
      params: byId,
      body: stop,
      answer: instance,
      example: {
        body: { cause: 'key_theft' },
        answer: { ...EXAMPLE, status: 'stopped', stopped_at: '2026-11-22T14:30:00.000Z' },
      },
      handle: async ({ caller, params: { id }, body, idempotency }) =>
        instanceAnswer(await instances.stop(caller, { instance: id, ...body }, { idempotency })),
    }),
  ];
}

export function instanceAnswer(found: Instance): wire.Instance {
  return {
    id: found.id,
    name: found.agent,
    status: found.status,
    enrolled_at: timeText(found.enrolledAt),
    ...givenTime('stopped_at', found.stoppedAt),
    first_serial: hexText(found.firstSerial),
    latest_serial: hexText(found.latestSerial),
    attestation: found.attestation,
    reference: found.reference,
    ...givenTime('attested_until', found.attestedUntil),
    ...given('parent', found.parent),
    ...given('workflow', found.workflow),
    scopes: found.scopes,
    labels: found.labels,
  };
}

function evidenceAnswer({ attestor, entry, digest, facts }: InstanceEvidence): NonNullable<wire.Instance['evidence']> {
  return { ...given('attestor', attestor), ...given('entry', entry), sha256: hexText(digest), facts };
}

const EXAMPLE: wire.Instance = {
  id: '01kaj8x5y7zq4m2n6p8r0t2v4w',
  name: 'planner',
  status: 'active',
  enrolled_at: '2026-11-22T14:03:22.000Z',
  first_serial: '019a3c5b7e0000000e10a1b2c3d4e5f607182930',
  latest_serial: '019a3c5b7e0000000e10a1b2c3d4e5f607182930',
  attestation: 'join-token',
  reference: '01kaj8wzzzzzzzzzzzzzzzzzzz',
  scopes: [],
  labels: {},
};
