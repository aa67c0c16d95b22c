import type { AccessRequest } from '../../base/access.ts';

/** What an installation confines certificates to. */
export interface GuardLimits {
  /** DNS names end in this, or are this. */
  readonly trustDomain: string;
  /** Further DNS subtrees, e.g. `corp.example`; `localhost` for development. */
  readonly dnsSubtrees: readonly string[];
  /** Ranges of IP addresses, e.g. `10.0.0.0/8`. None: no certificate has an address. */
  readonly ipRanges: readonly string[];
  /** Names and addresses under which clients reach the authority itself. Loopback is everybody's. */
  readonly serverNames?: readonly string[];
}

/** One rule of the guard. It refuses or is silent; it never allows. */
export interface GuardRule {
  /** As it stands in verdicts and in the ledger; never changes. */
  readonly id: `guard.${string}`;
  /** Why the request is refused, as a sentence for the caller; undefined when this rule has nothing against it. */
  refuse(request: AccessRequest): string | undefined;
}

/** The actions by which something is issued or will be. */
export const CERTIFIES: readonly string[] = [
  'instance.enrol',
  'workload.enrol',
  'certificate.issue',
  'certificate.renew',
  'certificate.replace',
];

export function isInstance(request: AccessRequest): boolean {
  return request.caller.kind === 'agent' || request.caller.kind === 'service';
}

/** A fact that `guard.complete` has found to be a text, or absent. */
export function text(request: AccessRequest, name: string): string | undefined {
  return request.context?.[name] as string | undefined;
}

export function number(request: AccessRequest, name: string): number | undefined {
  return request.context?.[name] as number | undefined;
}

export function texts(request: AccessRequest, name: string): readonly string[] {
  return (request.context?.[name] as readonly string[] | undefined) ?? [];
}
