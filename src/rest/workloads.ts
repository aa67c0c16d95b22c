import type { Caller } from '../base/access.ts';
import type { IssuedCertificate } from '../issuance/issued.ts';
import type { OwnedRequest } from '../issuance/owned.ts';
import type { WorkloadRenewal } from '../issuance/renew-workload.ts';
import type { WorkloadRequest } from '../issuance/workload.ts';
import { issuedCertificate } from '../wire/certificate.ts';
import { byInstance, enrolWorkload, renewWorkload, startChild } from '../wire/workload.ts';
import { recordedRefusals, refusedWorkloads, type WorkloadRefusal } from '../wire/workload-refusal.ts';
import { EXAMPLE_CSR, EXAMPLE_ISSUED, pemOfMany } from './certificate-answers.ts';
import { issuedOrFault, requestOf } from './issuing.ts';
import { type Operation, operation, type WriteOptions } from './operation.ts';

/** What the routes under `/v1/workloads`, and `/v1/children`, need: the flows themselves. */
export interface Workloads {
  enrol(caller: Caller, request: WorkloadRequest): Promise<IssuedCertificate>;
  renew(caller: Caller, request: WorkloadRenewal): Promise<IssuedCertificate>;
  start(caller: Caller, request: OwnedRequest): Promise<IssuedCertificate>;
  /** Puts on record whom the caller, a node, refused by itself. Gives the number of entries. */
  refused(caller: Caller, refusals: readonly WorkloadRefusal[], options: WriteOptions): Promise<number>;
  /** DER of the roots in use. */
  roots(): readonly Uint8Array[];
}

/** What was seen of a process, and the bundle of an image. */
const BODY_LIMIT = 128 * 1024;

export function workloadOperations(workloads: Workloads): Operation[] {
  const pemOf = pemOfMany();
  const answer = issuedOrFault(pemOf);
  const withBundle = async (issued: Promise<IssuedCertificate>) => ({
    ...(await answer(issued)),
    bundle: workloads.roots().map(pemOf),
  });
  return [
    operation({
      id: 'enrolWorkload',
      method: 'POST',
      path: '/v1/workloads',
      access: 'caller',
      action: 'workload.enrol',
      byNodes: true,
      summary: 'Lets a workload in that the caller, a node, has seen: an instance whose parent is the node.',
      body: enrolWorkload,
      bodyLimit: BODY_LIMIT,
      status: 201,
      answer: issuedCertificate,
      example: {
        body: { csr: EXAMPLE_CSR, entry: '01kaj8wzzzzzzzzzzzzzzzzzzz', facts: { 'unix:uid': ['1000'] } },
        answer: EXAMPLE_ISSUED,
      },
      handle: ({ caller, body, idempotency }) =>
        withBundle(workloads.enrol(caller, { ...body, ...requestOf(body), idempotency })),
    }),
    operation({
      id: 'startChild',
      method: 'POST',
      path: '/v1/children',
      access: 'caller',
      action: 'workload.enrol',
      summary:
        'Lets in an instance that the caller, an orchestrator, runs in its own process. The same reference is the same instance.',
      body: startChild,
      bodyLimit: BODY_LIMIT,
      status: 201,
      answer: issuedCertificate,
      example: {
        body: { csr: EXAMPLE_CSR, agent: 'planner', reference: 'trip-17' },
        answer: EXAMPLE_ISSUED,
      },
      handle: ({ caller, body, idempotency }) =>
        withBundle(workloads.start(caller, { ...body, ...requestOf(body), idempotency })),
    }),
    operation({
      id: 'recordRefusedWorkloads',
      method: 'POST',
      path: '/v1/workloads/refusals',
      access: 'caller',
      action: 'entry.read',
      byNodes: true,
      summary: 'Puts on the ledger whom the caller, a node, refused by itself, and why.',
      body: refusedWorkloads,
      bodyLimit: BODY_LIMIT,
      answer: recordedRefusals,
      example: {
        body: { refusals: [{ fault: 'no-entry', uid: 1000, count: 1, since: '2026-11-22T14:03:22.000Z' }] },
        answer: { recorded: 1 },
      },
      handle: async ({ caller, body: { refusals }, idempotency }) => ({
        recorded: await workloads.refused(caller, refusals, { idempotency }),
      }),
    }),
    operation({
      id: 'renewWorkload',
      method: 'POST',
      path: '/v1/workloads/{instance}/renew',
      access: 'caller',
      action: 'workload.enrol',
      byNodes: true,
      summary:
        'The next certificate of a workload that the caller let in. One that has changed is quarantined instead.',
      params: byInstance,
      body: renewWorkload,
      bodyLimit: BODY_LIMIT,
      status: 201,
      answer: issuedCertificate,
      example: { body: { csr: EXAMPLE_CSR }, answer: EXAMPLE_ISSUED },
      handle: ({ caller, params, body, idempotency }) =>
        withBundle(workloads.renew(caller, { ...params, ...body, ...requestOf(body), idempotency })),
    }),
  ];
}
