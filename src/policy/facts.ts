import type { AccessRequest, Action, ResourceType } from '../base/access.ts';

/** Types of a fact: text, whole number, yes or no, list of texts. A question mark says that it may be absent. */
type FactType = 'text' | 'number' | 'boolean' | 'texts' | 'text?' | 'texts?' | 'number?' | 'boolean?';

type FactTypes = Readonly<Record<string, FactType>>;

interface Shape {
  readonly resources: readonly ResourceType[];
  /** What rules read of `AccessRequest.context`: the attributes of `schema.cedarschema`, but for `now`. */
  readonly context: FactTypes;
  /** What the guard alone reads of it. Rules never see these. */
  readonly guardOnly: FactTypes;
}

const CERTIFICATE: FactTypes = {
  profile: 'text',
  lifetimeSeconds: 'number',
  dnsNames: 'texts',
  ipAddresses: 'texts',
  keyAlgorithm: 'text',
  scopes: 'texts',
  workflow: 'text?',
};

/** facts: what was attested, each as "name=value" (docs/ATTESTATION.md). */
const ATTESTED: FactTypes = { attestation: 'text', attestor: 'text?', entry: 'text?', facts: 'texts' };

const PROFILE: FactTypes = {
  profileMinSeconds: 'number',
  profileMaxSeconds: 'number',
  profileDnsNames: 'boolean',
  profileIpAddresses: 'boolean',
  // Of the agent or service that the certificate is for.
  ownDnsNames: 'texts?',
};

/** Whether the caller is the person who answers for the agent (`registry/sponsor.ts`); absent where they are not. */
const SPONSOR: FactTypes = { bySponsor: 'boolean?' };

const SOMEBODY: readonly ResourceType[] = ['Agent', 'Service'];
const ANYBODY: readonly ResourceType[] = ['Agent', 'Service', 'Operator', 'Installation'];
const ALL: readonly ResourceType[] = ['Installation'];

const plain = (resources: readonly ResourceType[]): Shape => ({ resources, context: {}, guardOnly: {} });

const certificate: Shape = {
  resources: ANYBODY,
  context: { ...CERTIFICATE, instance: 'text?', facts: 'texts?' },
  guardOnly: PROFILE,
};

/** What each action is asked with. A request of another shape is refused. */
export const SHAPES: Readonly<Record<Action, Shape>> = {
  'agent.register': plain(SOMEBODY),
  'agent.update': {
    resources: SOMEBODY,
    context: { changes: 'texts', team: 'text', environment: 'text', profile: 'text' },
    guardOnly: {},
  },
  'agent.retire': { resources: SOMEBODY, context: SPONSOR, guardOnly: {} },
  'agent.read': plain([...SOMEBODY, 'Installation']),
  'owner.remove': plain(['Owner']),
  'owner.restore': plain(['Owner']),
  'owner.read': plain(ALL),
  'token.create': {
    resources: SOMEBODY,
    context: { uses: 'number', lifetimeSeconds: 'number', scopes: 'texts', workflow: 'text?' },
    // Of the instance that makes it: what its own certificates say, and how many instances are above it.
    guardOnly: { callerScopes: 'texts?', callerWorkflow: 'text?', callerDepth: 'number?' },
  },
  'token.revoke': { resources: SOMEBODY, context: { own: 'boolean' }, guardOnly: {} },
  'token.read': { resources: [...SOMEBODY, 'Installation'], context: { own: 'boolean' }, guardOnly: {} },
  'instance.enrol': {
    resources: SOMEBODY,
    context: { ...CERTIFICATE, ...ATTESTED },
    guardOnly: PROFILE,
  },
  // renewal: the next certificate of a workload that is let in already. What the guard reads is of the entry, and of the
  // node: whose entry it is, whether the facts are what it asks for, what it gives, how many instances are above the node,
  // and, in a renewal, who let the workload in.
  'workload.enrol': {
    resources: SOMEBODY,
    context: { ...CERTIFICATE, ...ATTESTED, renewal: 'boolean', instance: 'text?' },
    guardOnly: {
      ...PROFILE,
      entryNode: 'text',
      entryMatches: 'boolean',
      entryScopes: 'texts',
      callerDepth: 'number',
      parent: 'text?',
    },
  },
  'attestor.manage': { resources: ALL, context: { attestor: 'text', kind: 'text' }, guardOnly: {} },
  'attestor.read': plain(ALL),
  // Whose evidence it is about, or which service's instances see the workloads: one of the two is there.
  'entry.manage': {
    resources: SOMEBODY,
    context: { attestor: 'text?', node: 'text?', scopes: 'texts', workflow: 'text?' },
    guardOnly: {},
  },
  'entry.read': { resources: [...SOMEBODY, 'Installation'], context: { own: 'boolean' }, guardOnly: {} },
  // lineage: the instances that let the target in, nearest first.
  'instance.stop': {
    resources: SOMEBODY,
    context: { instance: 'text', ...SPONSOR },
    guardOnly: { lineage: 'texts?' },
  },
  'certificate.issue': certificate,
  'certificate.renew': certificate,
  'certificate.replace': certificate,
  'certificate.revoke': {
    resources: ANYBODY,
    context: { reason: 'text', instance: 'text?', ...SPONSOR },
    guardOnly: { lineage: 'texts?' },
  },
  'certificate.read': plain(ANYBODY),
  // kind: of what is stopped (`revocation/stop-target.ts`); instance: the one that it is about.
  'stop.quarantine': {
    resources: [...ANYBODY, 'Owner'],
    context: { kind: 'text', cause: 'text', instance: 'text?', ...SPONSOR },
    guardOnly: { lineage: 'texts?' },
  },
  'stop.revoke': { resources: ['Owner', 'Installation'], context: { kind: 'text', cause: 'text' }, guardOnly: {} },
  // askedBy: caller id of who asked that it be for ever.
  'stop.confirm': { resources: ALL, context: { kind: 'text', cause: 'text' }, guardOnly: { askedBy: 'text' } },
  'stop.release': { resources: ALL, context: { kind: 'text', cause: 'text' }, guardOnly: {} },
  'stop.read': plain(ALL),
  'ledger.read': plain(ANYBODY),
  'policy.read': plain(ALL),
  'policy.publish': plain(ALL),
  'profile.read': plain(ALL),
  'profile.publish': plain(['Profile']),
  'operator.add': plain(['Operator']),
  'operator.remove': plain(['Operator']),
  'operator.read': plain(ALL),
  'group.read': plain(ALL),
  'group.change': plain(['Group']),
  // successor: what is asked for is another policy set, on the server's machine (`administrator.ts`).
  'approval.read': { resources: ALL, context: {}, guardOnly: { successor: 'boolean?' } },
  // The action that consent is asked for, and the group whose it is.
  'approval.decide': {
    resources: ALL,
    context: { requested: 'text', group: 'text' },
    guardOnly: { successor: 'boolean?' },
  },
  // The seconds that it is to last.
  'emergency.begin': { resources: ALL, context: { lifetimeSeconds: 'number' }, guardOnly: {} },
  'emergency.end': { resources: ALL, context: { own: 'boolean' }, guardOnly: {} },
  'emergency.review': plain(ALL),
  'authority.read': plain(ALL),
  'authority.rotate': plain(ALL),
  'authority.revoke': plain(ALL),
  // parent: the instance that let in the one that the token is for.
  'jwt.issue': {
    resources: SOMEBODY,
    context: { audience: 'texts', lifetimeSeconds: 'number', instance: 'text' },
    guardOnly: { parent: 'text?' },
  },
  'federation.read': plain(ALL),
  // change: 'add', 'replace', 'refresh' or 'remove'.
  'federation.manage': { resources: ALL, context: { trustDomain: 'text', change: 'text' }, guardOnly: {} },
  'domain.read': plain(ALL),
  // lifetimeSeconds: of a subordinate authority, the most that one has or that of this one.
  'domain.create': { resources: ALL, context: { trustDomain: 'text', lifetimeSeconds: 'number' }, guardOnly: {} },
  'domain.sign': { resources: ALL, context: { trustDomain: 'text', lifetimeSeconds: 'number' }, guardOnly: {} },
  // change: 'signing', 'root', 'root_at_once'.
  'domain.rotate': { resources: ALL, context: { trustDomain: 'text', change: 'text' }, guardOnly: {} },
  'domain.revoke': { resources: ALL, context: { trustDomain: 'text', reason: 'text' }, guardOnly: {} },
  'domain.close': { resources: ALL, context: { trustDomain: 'text' }, guardOnly: {} },
  'signal.read': plain(ALL),
  'signal.manage': plain(ALL),
  // What was measured: point is the name of the enforcement point.
  'canary.report': { resources: SOMEBODY, context: { point: 'text', verdict: 'text' }, guardOnly: {} },
  'canary.read': plain(ALL),
  'canary.remove': plain(ALL),
};

/** Facts of an agent or service, as `registry/` gives them. */
const AGENT_FACTS: FactTypes = {
  team: 'text',
  environment: 'text',
  profile: 'text',
  status: 'text',
  labels: 'texts',
  modelProvider: 'text?',
  modelName: 'text?',
};

/** Names and types, each name once. */
type Expected = readonly { readonly name: string; readonly type: FactType; readonly optional: boolean }[];

function expected(...groups: readonly FactTypes[]): Expected {
  const types = new Map(groups.flatMap((group) => Object.entries(group)));
  return [...types].map(([name, type]) => ({ name, type, optional: type.endsWith('?') }));
}

const OF_AGENT = expected(AGENT_FACTS);
const OF_OWNER = expected({ team: 'text' });
const OF_OTHERS = expected();
const OF_REQUEST: ReadonlyMap<string, Expected> = new Map(
  Object.entries(SHAPES).map(([action, { context, guardOnly }]) => [action, expected(context, guardOnly)]),
);

/** What is wrong with the shape of a request, as a sentence; undefined when it is as `SHAPES` says. */
export function shapeFault({ action, resource, context = {} }: AccessRequest): string | undefined {
  const ofRequest = OF_REQUEST.get(action);
  if (ofRequest === undefined) return 'There is no such action.';
  const { type, facts = {} } = resource;
  if (!SHAPES[action].resources.includes(type)) {
    return `An action ${action} is not done to a resource of type ${type}.`;
  }
  return factsFault(facts, expectedOf(type)) ?? factsFault(context, ofRequest);
}

function expectedOf(type: ResourceType): Expected {
  if (type === 'Agent' || type === 'Service') return OF_AGENT;
  return type === 'Owner' ? OF_OWNER : OF_OTHERS;
}

function factsFault(facts: Readonly<Record<string, unknown>>, types: Expected): string | undefined {
  let known = 0;
  for (const { name, type, optional } of types) {
    const value = facts[name];
    if (value === undefined ? !optional : !isOf(value, type)) return lacks(name);
    if (value !== undefined || Object.hasOwn(facts, name)) known++;
  }
  return Object.keys(facts).length === known ? undefined : 'The request has a fact that nothing is known of.';
}

function lacks(name: string): string {
  return `The request lacks the fact ${name}, or has it with another type.`;
}

function isOf(value: unknown, type: FactType): boolean {
  switch (type) {
    case 'text':
    case 'text?':
      return typeof value === 'string';
    case 'number':
    case 'number?':
      return Number.isSafeInteger(value);
    case 'boolean':
    case 'boolean?':
      return typeof value === 'boolean';
    case 'texts':
    case 'texts?':
      return Array.isArray(value) && value.every((item) => typeof item === 'string');
  }
}
