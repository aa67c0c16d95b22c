import type { Approval } from '../../approval/approval.ts';
import {
  beginBreakGlass,
  endBreakGlass,
  reviewEmergency,
  showEmergencies,
  showEmergency,
} from '../../approval/break-glass.ts';
import { decideApproval } from '../../approval/decide.ts';
import { listDeliveries } from '../../approval/delivery-store.ts';
import { withdrawApproval } from '../../approval/end.ts';
import { type ApprovalParts, INSTALLATION } from '../../approval/parts.ts';
import { requestApproval } from '../../approval/request.ts';
import { showApproval, showApprovals } from '../../approval/show.ts';
import { type DenialMeans, openDenial, requestable, wishOf } from '../../authzen/denial.ts';
import { inProfile } from '../../authzen/problem.ts';
import { taskOf } from '../../authzen/task.ts';
import type { Caller } from '../../base/access.ts';
import { demand } from '../../base/demand.ts';
import { addOperatorOf } from '../../issuance/add-operator.ts';
import { derivedSecret } from '../../keys/derived-secret.ts';
import { changeGroup, showGroups } from '../../registry/group.ts';
import { personOf } from '../../registry/person.ts';
import { showOperators } from '../../registry/show.ts';
import { accessTaskOperations } from '../../rest/access-tasks.ts';
import { approvalOperations as approvalRoutes } from '../../rest/approvals.ts';
import type { AskApproval, OfferAccess } from '../../rest/bound-request.ts';
import { emergencyOperations } from '../../rest/emergencies.ts';
import { groupOperations } from '../../rest/groups.ts';
import type { Operation } from '../../rest/operation.ts';
import { operatorOperations } from '../../rest/operators.ts';
import { removeOperator } from '../../revocation/remove-operator.ts';
import { parseName } from '../../spiffe-id/name.ts';
import { cordParts } from './cord-operations.ts';
import { forCaller } from './for-caller.ts';
import type { ThreadParts } from './thread-parts.ts';

/** Consent, the groups whose people give it, and the operators that they are. */
export function approvalOperations(parts: ThreadParts, server: { readonly address: string }): Operation[] {
  const { reader, clock, policy } = parts;
  const { authorize } = policy;
  const approvals = approvalParts(parts);
  // The port is known once the listener has one.
  const base = (): string => `https://${server.address}`;
  const denials = denialMeans(parts, server);
  const acting = forCaller(approvals, parts, { policy: true });
  const removing = cordParts(parts);
  return [
    ...approvalRoutes({
      list: (caller, filter, page) => showApprovals(caller, filter, page, approvals),
      show: (caller, id) => showApproval(caller, id, approvals),
      decide: async (caller, target): Promise<Approval> => decideApproval(caller, target, await acting(caller)),
      withdraw: async (caller, id) => withdrawApproval(caller, id, await acting(caller)),
      deliveries(caller, filter, page) {
        demand(authorize, { caller, action: 'approval.read', resource: INSTALLATION });
        return listDeliveries(reader, filter, page);
      },
    }),
    ...emergencyOperations({
      begin: async (caller, wanted, options) => beginBreakGlass(caller, wanted, await acting(caller), options),
      end: async (caller, id) => endBreakGlass(caller, id, await acting(caller)),
      review: async (caller, review) => reviewEmergency(caller, review, await acting(caller)),
      show: (caller, id) => showEmergency(caller, id, approvals),
      list: (caller, filter, page) => showEmergencies(caller, filter, page, approvals),
      now: clock.now,
    }),
    ...accessTaskOperations({
      metadata: () => ({
        policy_decision_point: base(),
        access_request_endpoint: denials.endpoint(),
        capabilities: ['urn:openid:authzen:capability:access-request'],
      }),
      submit: (caller, submission, options) =>
        inProfile(async () => {
          const { bound: _, ...alone } = caller;
          const wanted = { ...openDenial(alone, submission, denials), ...wishOf(submission, clock.now()) };
          return taskOf(await requestApproval(alone, wanted, await acting(alone), options), base());
        }),
      decide: (caller, target) =>
        inProfile(async () => taskOf(await decideApproval(caller, target, await acting(caller)), base())),
      show: (caller, id) => inProfile(async () => taskOf(await showApproval(caller, id, approvals), base())),
      cancel: (caller, id) =>
        inProfile(async () => taskOf(await withdrawApproval(caller, id, await acting(caller)), base())),
    }),
    ...groupOperations({
      list: (caller) => showGroups(caller, { reader, authorize }),
      change: async (caller, change, options) => changeGroup(caller, change, await acting(caller), options),
    }),
    ...operatorOperations({
      list: (caller) => showOperators(caller, { reader, authorize, clock }),
      async add(caller, { name, csr, person, email }, { idempotency }) {
        const { authorize: ask, commit } = await acting(caller);
        const operator = parseName(name, '/name');
        demand(ask, { caller, action: 'operator.add', resource: { type: 'Operator', id: operator } });
        // Whoever may add an operator certifies them: policy was asked about the one act that both are.
        const issuer: Caller = { kind: 'system', id: caller.id };
        // A repeat finds the person that it brought about, and gets its answer.
        const repeated = (await idempotency?.first()) !== undefined;
        const whose = repeated ? { id: operator, known: true } : await personOf(reader, operator, { person, email });
        return addOperatorOf(issuer, { operator, csr, person: whose, idempotency }, { ...parts.issuance, commit });
      },
      remove: async (caller, target, options) =>
        removeOperator(caller, target, await forCaller(removing, parts, { policy: true })(caller), options),
    }),
  ];
}

/** Tells of approvals as AuthZEN has it, for every route whose caller prefers that. */
export function offerAccess(parts: ThreadParts, server: { readonly address: string }): OfferAccess {
  const means = denialMeans(parts, server);
  return (caller, refused) => requestable(caller, refused, means);
}

function denialMeans({ keyring, clock, random }: ThreadParts, server: { readonly address: string }): DenialMeans {
  const endpoint = (): string => `https://${server.address}/access/v1/requests`;
  return { secret: () => derivedSecret(keyring, 'access request'), endpoint, now: clock.now, random };
}

/** Opens requests for approval, for every route. */
export function askApproval(parts: ThreadParts): AskApproval {
  const acting = forCaller(approvalParts(parts), parts, { policy: true });
  return async (caller, wanted) => {
    const { bound: _, ...alone } = caller;
    return requestApproval(alone, wanted, await acting(alone));
  };
}

function approvalParts({ reader, commit, clock, random, policy, webhooks = [] }: ThreadParts): ApprovalParts {
  return { reader, commit, clock, random, authorize: policy.authorize, webhooks };
}
