/** Requests for tests: each action with the least that its shape demands. */
import type { AccessRequest, Action, Caller, Facts, ResourceType } from '../../base/access.ts';
import { SHAPES } from '../facts.ts';
import type { GuardLimits } from '../guard/rule.ts';

export const LIMITS: GuardLimits = {
  trustDomain: 'example.com',
  dnsSubtrees: ['localhost', 'corp.internal'],
  ipRanges: ['10.0.0.0/8', 'fd00::/8', '127.0.0.1/32'],
};

export const ANONYMOUS: Caller = { kind: 'anonymous', id: 'anonymous' };
export const ADMINISTRATOR: Caller = { kind: 'system', id: 'system:administrator' };
/** The first operator of an installation. */
export const ADA: Caller = {
  kind: 'operator',
  id: 'spiffe://example.com/operator/ada',
  operator: 'ada',
  groups: ['ca-officers', 'security'],
};

const ID = '01jd0000000000000000000000';
export const INSTANCE: Caller = {
  kind: 'agent',
  id: `spiffe://example.com/agent/planner/${ID}`,
  agent: 'planner',
  instance: ID,
};

export const AGENT: Facts = {
  team: 'research',
  environment: 'production',
  profile: 'agent',
  status: 'active',
  labels: ['tier=gold'],
};

const PROFILE: Facts = {
  profileMinSeconds: 300,
  profileMaxSeconds: 86_400,
  profileDnsNames: false,
  profileIpAddresses: false,
};

export const CERTIFICATE: Facts = {
  profile: 'agent',
  lifetimeSeconds: 3600,
  dnsNames: [],
  ipAddresses: [],
  keyAlgorithm: 'ecdsa-p256',
  scopes: [],
  ...PROFILE,
};

const CONTEXTS: Partial<Record<Action, Facts>> = {
  'agent.update': { changes: ['purpose'], team: 'research', environment: 'production', profile: 'agent' },
  'token.create': { uses: 1, lifetimeSeconds: 3600, scopes: [] },
  'token.revoke': { own: false },
  'token.read': { own: false },
  'instance.enrol': { ...CERTIFICATE, attestation: 'join-token', facts: [] },
  'workload.enrol': {
    ...CERTIFICATE,
    attestation: 'node',
    facts: ['unix:uid=1000'],
    renewal: false,
    entryNode: 'host',
    entryMatches: true,
    entryScopes: [],
    callerDepth: 0,
  },
  'attestor.manage': { attestor: 'github', kind: 'oidc' },
  'entry.manage': { scopes: [] },
  'entry.read': { own: false },
  'instance.stop': { instance: ID },
  'certificate.issue': CERTIFICATE,
  'certificate.renew': CERTIFICATE,
  'certificate.replace': CERTIFICATE,
  'certificate.revoke': { reason: 'key_theft' },
  'stop.quarantine': { kind: 'agent', cause: 'key_theft' },
  'stop.revoke': { kind: 'owner', cause: 'owner_withdrawn' },
  'stop.confirm': { kind: 'owner', cause: 'owner_withdrawn', askedBy: 'spiffe://example.com/operator/bob' },
  'stop.release': { kind: 'agent', cause: 'key_theft' },
  'jwt.issue': { audience: ['reports'], lifetimeSeconds: 300, instance: ID },
  'federation.manage': { trustDomain: 'partner.example', change: 'add' },
  'domain.create': { trustDomain: 'partners.example', lifetimeSeconds: 604_800 },
  'domain.sign': { trustDomain: 'partners.example', lifetimeSeconds: 604_800 },
  'domain.rotate': { trustDomain: 'partners.example', change: 'root' },
  'domain.revoke': { trustDomain: 'partners.example', reason: 'key_theft' },
  'domain.close': { trustDomain: 'partners.example' },
  'canary.report': { point: 'gateway-1', verdict: 'refused' },
  'emergency.begin': { lifetimeSeconds: 1800 },
  'emergency.end': { own: false },
  'approval.decide': { requested: 'policy.publish', group: 'ca-officers' },
};

export interface RequestParts {
  readonly caller?: Caller;
  readonly type?: ResourceType;
  readonly id?: string;
  readonly facts?: Facts;
  readonly context?: Facts;
}

/** By default Ada asks, about the agent `planner` where the action can be about an agent. */
export function request(action: Action, parts: RequestParts = {}): AccessRequest {
  const [first] = SHAPES[action].resources;
  const { caller = ADA, type = first!, context = CONTEXTS[action] } = parts;
  const isAgent = type === 'Agent' || type === 'Service';
  const { id = isAgent ? 'planner' : 'writ' } = parts;
  const { facts = isAgent ? AGENT : type === 'Owner' ? { team: id } : undefined } = parts;
  return {
    caller,
    action,
    resource: { type, id, ...(facts === undefined ? {} : { facts }) },
    ...(context === undefined ? {} : { context }),
  };
}
