/** Several operators of one installation, and requests as the door binds them. */
import { callerOf, type Installation, newKey, register, SYSTEM } from '../../../test/installation.ts';
import type { Caller } from '../../base/access.ts';
import { addOperatorOf } from '../../issuance/add-operator.ts';
import { canonicalJson } from '../../merkle/canonical-json.ts';
import { defaultPolicyText } from '../../policy/text-files.ts';
import { publishPolicy } from '../../policy/publish.ts';
import { changeGroup } from '../../registry/group.ts';
import type { PolicySet } from '../../policy/store.ts';
import type { Owner } from '../../registry/owner.ts';
import { changeOwner } from '../../registry/owners.ts';
import { personOf } from '../../registry/person.ts';
import { actingFor } from '../../revocation/acting.ts';
import type { Name } from '../../spiffe-id/name.ts';
import type { Approval } from '../approval.ts';
import { consentOf } from '../consent.ts';
import { decideApproval } from '../decide.ts';
import type { ApprovalParts } from '../parts.ts';
import { requestApproval } from '../request.ts';

/** Adds an operator; `person` is somebody known already. The first of all is an officer. */
export async function operator(installation: Installation, name: string, person?: string, program = false): Promise<Caller> {
  const { database, issuance } = installation;
  const whose = program ? undefined : await personOf(database, name as Name, { person });
  await issuance.refresh();
  return callerOf(
    await addOperatorOf(SYSTEM, { operator: name as Name, csr: await newKey().csr(), person: whose }, issuance),
  );
}

export async function member(installation: Installation, group: string, person: string, change: 'add' | 'remove' = 'add'): Promise<void> {
  const { database: reader, policy, commit, clock } = installation;
  await changeGroup(SYSTEM, { group, person, change }, { reader, commit, clock, authorize: policy.authorize });
  await policy.fresh();
}

/** Four officers; `grace-too` is Grace once more. */
export async function officers(
  installation: Installation,
): Promise<Readonly<Record<'ada' | 'bob' | 'grace' | 'graceToo' | 'linus', Caller>>> {
  const ada = await operator(installation, 'ada');
  const [bob, grace, linus] = [
    await operator(installation, 'bob'),
    await operator(installation, 'grace'),
    await operator(installation, 'linus'),
  ];
  const graceToo = await operator(installation, 'grace-too', 'grace');
  for (const person of ['bob', 'grace', 'linus']) await member(installation, 'ca-officers', person);
  return { ada, bob, grace, graceToo, linus };
}

export function partsOf({ database, policy, commit, clock, random }: Installation, webhooks: readonly string[] = []): ApprovalParts {
  return { reader: database, authorize: policy.authorize, commit, clock, random, webhooks };
}

/** As the door makes it of `POST /v1/owners/{team}/<verb>`. */
export function parametersOf(team: string): string {
  return canonicalJson({ method: 'POST', path: '/v1/owners/{team}/restore', params: { team }, query: {}, body: {} });
}

/** Asks for the return of a team, as whoever is refused it does. */
export async function ask(installation: Installation, caller: Caller, team = 'research', lifetime?: number): Promise<Approval> {
  const request = { caller, action: 'owner.restore', resource: { type: 'Owner', id: team, facts: { team } } } as const;
  // As each request begins: otherwise one that moved the clock would be decided by a set that is not known to be in force.
  await installation.policy.fresh();
  const verdict = installation.policy.authorize(request);
  if (verdict.allowed) throw new Error('allowed without');
  const wanted = { request, verdict, parameters: parametersOf(team), reason: 'they are back', lifetime };
  return requestApproval(caller, wanted, partsOf(installation));
}

export async function decide(
  installation: Installation,
  caller: Caller,
  { id }: Pick<Approval, 'id'>,
  decision: 'approved' | 'denied' = 'approved',
): Promise<Approval> {
  const { issuance } = installation;
  const acting = await actingFor(caller, issuance, { policy: true });
  return decideApproval(caller, { id, decision }, { ...partsOf(installation), ...acting });
}

/** Does what was asked for, with the approval; `meanwhile` happens right before the commit. */
export async function restore(
  installation: Installation,
  caller: Caller,
  approval: string | undefined,
  options: { readonly team?: string; readonly parameters?: string; readonly repeated?: boolean; readonly meanwhile?: () => Promise<unknown> } = {},
): Promise<Owner> {
  const { issuance, registry, database, clock, random } = installation;
  const { team = 'research', parameters = parametersOf(team), repeated = false, meanwhile } = options;
  const bound = { parameters, needs: () => {}, repeated: async () => repeated, ...(approval === undefined ? {} : { approval }) };
  const { certificates } = issuance;
  const consent = (who: Caller) => consentOf(who, { reader: database, clock, random, certificates, webhooks: [] });
  const binding = { ...caller, bound };
  const acting = await actingFor(binding, { ...issuance, consent }, { policy: true });
  let first = true;
  const commit: typeof acting.commit = async (batch) => {
    if (first) await meanwhile?.();
    first = false;
    return acting.commit(batch);
  };
  return changeOwner(binding, { team, status: 'active' }, { ...registry, ...acting, commit });
}

/** What a request that names an approval, or asks for one, brings with it. */
export function boundBy(
  caller: Caller,
  parameters: string,
  approval?: string,
): Caller & { readonly bound: NonNullable<Caller['bound']> } {
  const bound = { parameters, needs: () => {}, repeated: async () => false };
  return { ...caller, bound: approval === undefined ? bound : { ...bound, approval } };
}

/** What the flow of such a request asks and commits with. */
export function actingOf(installation: Installation, caller: Caller): ReturnType<typeof actingFor> {
  const { issuance, database: reader, clock, random } = installation;
  const { certificates } = issuance;
  const consent = (who: Caller) => consentOf(who, { reader, clock, random, certificates, webhooks: [] });
  return actingFor(caller, { ...issuance, consent }, { policy: true });
}

/** Says that the team is gone, so that it can be restored. */
export async function gone({ registry }: Installation, team = 'research'): Promise<void> {
  await changeOwner(SYSTEM, { team, status: 'gone' }, registry);
}

/** The team of an agent that is registered here is gone. */
export async function teamGone(installation: Installation): Promise<void> {
  await register(installation, 'planner');
  await gone(installation);
}

export async function publish({ database: reader, policy, commit, clock }: Installation, change: (text: string) => string): Promise<PolicySet> {
  const parts = { reader, authorize: policy.authorize, commit, clock, cedar: policy.cedar };
  return publishPolicy(SYSTEM, { text: change(defaultPolicyText()) }, parts);
}
