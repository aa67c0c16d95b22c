import type { AccessRequest, Action, Facts, ResourceType } from '../base/access.ts';
import { ADMINISTRATOR } from '../policy/administrator.ts';

/** 'granted': enough people agreed, and it was not used yet. All after it are for ever. */
export type ApprovalStatus = 'pending' | 'granted' | 'denied' | 'expired' | 'withdrawn' | 'used';

/** What one person said. */
export interface Decision {
  readonly person: string;
  /** As whom they said it, and with which certificate (content octets of the serial number). */
  readonly operator: string;
  readonly serial: Uint8Array;
  readonly decision: 'approved' | 'denied';
  /** Milliseconds. */
  readonly at: number;
}

/** A request for the consent of several people to one exact act of one caller. */
export interface Approval {
  readonly id: string;
  /** Caller id; the only one who can use it. */
  readonly requester: string;
  /** Who that is, where it is an operator; else empty. Never counts. */
  readonly requesterPerson: string;
  readonly action: Action;
  readonly resource: { readonly type: ResourceType; readonly id: string };
  /** What policy was told when it was asked for. For people to read; policy is asked anew when it is used. */
  readonly facts: { readonly resource: Facts; readonly context: Facts };
  /** RFC 8785: route and all parameters of the request that it allows. */
  readonly parameters: string;
  /** SHA-256(salt ‖ parameters): what the ledger has of them. */
  readonly salt: Uint8Array;
  readonly digest: Uint8Array;
  /** Why, in the requester's words. */
  readonly reason: string;
  /** What the policy rule demanded when it was asked for: so many of this group. */
  readonly rule: string;
  readonly needed: number;
  readonly group: string;
  readonly policyVersion: number;
  /** 'pending' and 'granted' end with `expiresAt`, whether that is recorded yet or not. */
  readonly status: ApprovalStatus;
  /** Counts changes from 1. */
  readonly version: number;
  /** Milliseconds. */
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly endedAt?: number;
  /** When it takes effect although too few agreed, unless somebody has denied it by then. Only of the administrator's. */
  readonly recoversAt?: number;
  /** In the order in which they came. */
  readonly decisions: readonly Decision[];
}

/** True while people can still say something about it, or it can be used. */
export function isOpen({ status }: Pick<Approval, 'status'>): boolean {
  return status === 'pending' || status === 'granted';
}

/** People who agreed and are not the one who asked. */
export function consents({ decisions, requesterPerson }: Approval): readonly Decision[] {
  return decisions.filter(({ decision, person }) => decision === 'approved' && person !== requesterPerson);
}

/** What the guard is told of whoever looks at it or answers it: that the administrator asks for another policy set. */
export function successorFact({ action, requester }: Pick<Approval, 'action' | 'requester'>): Facts {
  return action === 'policy.publish' && requester === ADMINISTRATOR ? { successor: true } : {};
}

/** A resource as one text, as the ledger has it. */
export function resourceText({ type, id }: AccessRequest['resource']): string {
  return `${type}:${id}`;
}

/** Seconds that an approval may be asked for, and what it is when nothing is said. */
export const LIFETIME = { least: 60, default: 3600, most: 604_800 } as const;

/**
 * Seconds that an installation whose operators are lost waits for one of them to object before people may come back
 * without their consent, and for how long after that the request stands.
 */
export const RECOVERY = { waits: 259_200, stands: 86_400 } as const;

/** True for a request that has waited long enough: it takes effect without consent. */
export function recovers({ status, recoversAt }: Pick<Approval, 'status' | 'recoversAt'>, now: number): boolean {
  return status === 'pending' && recoversAt !== undefined && recoversAt <= now;
}

/** As ledger and webhooks have it. */
export function recoveryMember({ recoversAt }: Pick<Approval, 'recoversAt'>): { readonly recovers_at?: string } {
  return recoversAt === undefined ? {} : { recovers_at: new Date(recoversAt).toISOString() };
}

/** Requests of one caller that may be open at once. */
export const MOST_OPEN = 50;

/** Longest parameters that anybody could still judge, in characters. */
export const LONGEST_PARAMETERS: number = 256 * 1024;
