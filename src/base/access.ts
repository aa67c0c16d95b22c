/**
 * Who asks, for what, and the answer: the three values that every door, flow and rule shares.
 *
 * A door turns a connection into one `Caller`; a flow takes it as its first argument and asks its `Authorize` once, at
 * the top. `policy/` is what answers; folders below or beside it know only these types.
 */
export interface Caller {
  /** `system` is Writ itself (rotation, expiry) or an administrator on the server's machine with the passphrase. */
  readonly kind: 'anonymous' | 'operator' | 'agent' | 'service' | 'system';
  /** The SPIFFE ID for agents, services and operators; `anonymous`; `system:<what>`. */
  readonly id: string;
  /** Name of the registered agent or service of which the caller is an instance. */
  readonly agent?: string;
  /** Instance id, when the caller is an instance. */
  readonly instance?: string;
  /** Operator name, when the caller is an operator. */
  readonly operator?: string;
  /** Groups that the operator's person is in, as `policy/` knows them when it decides. */
  readonly groups?: readonly string[];
  /** Serial number (content octets) of the certificate presented, whose status was checked for this request. */
  readonly serial?: Uint8Array;
  /** The epoch under which that status was found good, for the commit (`Batch.under`). */
  readonly asOf?: number;
  /**
   * The certificate presented was superseded by the caller's own replacement. Only what says so (`Route.repeats`) hears
   * of such a caller, and gives it nothing but the answer to that very request.
   */
  readonly superseded?: true;
  /** SHA-256 of the SubjectPublicKeyInfo presented. */
  readonly spkiHash?: Uint8Array;
  /** What this one request says of approvals; absent where it says nothing. */
  readonly bound?: BoundRequest;
}

/** One request that names an approval or asks for one, told from every other by its parameters. */
export interface BoundRequest {
  /** RFC 8785: route and all parameters. */
  readonly parameters: string;
  /** Id of the approval that it rests on; absent where one is asked for. */
  readonly approval?: string;
  /** Told what policy wants an approval for. */
  readonly needs: (request: AccessRequest, verdict: Extract<Verdict, { allowed: false }>) => void;
  /** Whether this very request was carried out before, under the same idempotency key. */
  readonly repeated: () => Promise<boolean>;
}

export const ACTIONS = [
  'agent.register',
  'agent.update',
  'agent.retire',
  'agent.read',
  'token.create',
  'token.revoke',
  'token.read',
  'instance.enrol',
  'instance.stop',
  'certificate.issue',
  'certificate.renew',
  'certificate.replace',
  'certificate.revoke',
  'certificate.read',
  'ledger.read',
  'policy.read',
  'policy.publish',
  'profile.read',
  'profile.publish',
  'operator.add',
  'operator.remove',
  'operator.read',
  'group.read',
  'group.change',
  'approval.read',
  'approval.decide',
  'emergency.begin',
  'emergency.end',
  'emergency.review',
  'owner.remove',
  'owner.restore',
  'stop.read',
  'stop.quarantine',
  'stop.revoke',
  'stop.confirm',
  'stop.release',
  'owner.read',
  'authority.read',
  'authority.rotate',
  'authority.revoke',
  'jwt.issue',
  'federation.read',
  'federation.manage',
  'domain.read',
  'domain.create',
  'domain.sign',
  'domain.rotate',
  'domain.revoke',
  'domain.close',
  'signal.read',
  'signal.manage',
  'canary.report',
  'canary.read',
  'canary.remove',
  'attestor.manage',
  'attestor.read',
  'entry.manage',
  'entry.read',
  'workload.enrol',
] as const;

export type Action = (typeof ACTIONS)[number];

/** Facts that rules may read. Sets of strings are arrays; there is no null. */
export type Facts = Readonly<Record<string, string | number | boolean | readonly string[]>>;

export interface AccessRequest {
  readonly caller: Caller;
  readonly action: Action;
  /** What it is done to: `{ type: 'Agent', id: 'planner' }`, `{ type: 'Profile', id: 'agent' }`. */
  readonly resource: { readonly type: ResourceType; readonly id: string; readonly facts?: Facts };
  /** Facts of this request alone, e.g. requested lifetime in seconds, DNS names, scopes. */
  readonly context?: Facts;
}

export type ResourceType =
  | 'Agent'
  | 'Service'
  | 'Profile'
  | 'Certificate'
  | 'Token'
  | 'Operator'
  | 'Owner'
  | 'Group'
  | 'Installation';

export type Verdict =
  | {
      readonly allowed: true;
      readonly rules: readonly string[];
      readonly policyVersion: number;
      /** Id of the emergency access without which it would not be allowed. */
      readonly emergency?: string;
      /** Groups of the operator who asked, as the rules saw them. */
      readonly groups?: readonly string[];
    }
  | {
      readonly allowed: false;
      /** Set when the rules would allow it with these consents. */
      readonly needsApproval?: { readonly count: number; readonly group: string };
      readonly rules: readonly string[];
      /** Sentences for the caller: what refused, and what would be right. */
      readonly reasons: readonly string[];
      readonly policyVersion: number;
      /** As of what is allowed. */
      readonly groups?: readonly string[];
    };

/** Fixed guard, then policy. Never throws: whatever goes wrong inside is a refusal. */
export type Authorize = (request: AccessRequest) => Verdict;
