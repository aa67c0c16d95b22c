import { ANY_POLICY } from '../extensions/certificate-policies.ts';

/**
 * Certificate policies along a path (RFC 5280 §6.1.2 to §6.1.5), with any policy acceptable at the end.
 *
 * Nobody here asks for one particular policy, only whether some policy holds all the way down where an authority
 * demands it. So the tree of the standard shrinks to the set of policies that its lowest level expects; work is linear
 * in the policies that the certificates list, and the tree's known exponential growth cannot happen.
 */
/** What one certificate says about policies; absent extensions are undefined. Policies are dotted OIDs. */
export interface PolicyFacts {
  readonly policies: readonly string[] | undefined;
  readonly mappings: readonly { readonly issuerPolicy: string; readonly subjectPolicy: string }[] | undefined;
  readonly requireExplicitPolicy: number | undefined;
  readonly inhibitPolicyMapping: number | undefined;
  readonly inhibitAnyPolicy: number | undefined;
  readonly selfIssued: boolean;
}

interface State {
  expected: ReadonlySet<string>;
  /** How many more certificates may pass before the rule bites; 0 = it holds now. */
  explicitPolicy: number;
  policyMapping: number;
  anyPolicy: number;
}

/**
 * Why the policies of a path do not hold, or undefined when they do. `path` runs from the trust anchor to the leaf;
 * the anchor's constraints count, its own policies do not (RFC 5937 §3.2).
 */
export function policyFault(path: readonly PolicyFacts[]): string | undefined {
  const never = path.length;
  const state: State = {
    expected: new Set([ANY_POLICY]),
    explicitPolicy: never,
    policyMapping: never,
    anyPolicy: never,
  };
  const fault = 'no certificate policy holds along the path, and an authority demands one';
  for (const [depth, certificate] of path.entries()) {
    const last = depth === path.length - 1;
    if (depth > 0) {
      state.expected = nextPolicies(state, certificate, last);
      if (state.explicitPolicy === 0 && state.expected.size === 0) return fault; // §6.1.3 (f)
    }
    if (last) {
      const explicit = state.explicitPolicy <= 1 || certificate.requireExplicitPolicy === 0; // §6.1.5 (a), (b)
      return explicit && state.expected.size === 0 ? fault : undefined;
    }
    const mapped = certificate.mappings ?? [];
    if (mapped.some((m) => m.issuerPolicy === ANY_POLICY || m.subjectPolicy === ANY_POLICY)) {
      return 'a policy mapping names anyPolicy'; // §6.1.4 (a)
    }
    if (depth > 0) {
      state.expected = mapPolicies(state, mapped);
      if (!certificate.selfIssued) countDown(state); // §6.1.4 (h)
    }
    state.explicitPolicy = Math.min(state.explicitPolicy, certificate.requireExplicitPolicy ?? never); // (i)
    state.policyMapping = Math.min(state.policyMapping, certificate.inhibitPolicyMapping ?? never);
    state.anyPolicy = Math.min(state.anyPolicy, certificate.inhibitAnyPolicy ?? never); // (j)
  }
  return undefined;
}

/** §6.1.3 (d) and (e). */
function nextPolicies(state: State, certificate: PolicyFacts, last: boolean): Set<string> {
  const listed = certificate.policies ?? [];
  const { expected } = state;
  const any = expected.has(ANY_POLICY);
  const next = new Set(listed.filter((policy) => policy !== ANY_POLICY && (any || expected.has(policy))));
  const anyCounts = state.anyPolicy > 0 || (!last && certificate.selfIssued);
  if (listed.includes(ANY_POLICY) && anyCounts) for (const policy of expected) next.add(policy);
  return next;
}

/** §6.1.4 (b). */
function mapPolicies(state: State, mappings: NonNullable<PolicyFacts['mappings']>): ReadonlySet<string> {
  if (mappings.length === 0) return state.expected;
  const next = new Set(state.expected);
  for (const { issuerPolicy } of mappings) next.delete(issuerPolicy);
  if (state.policyMapping === 0) return next;
  const any = state.expected.has(ANY_POLICY);
  for (const { issuerPolicy, subjectPolicy } of mappings) {
    if (any || state.expected.has(issuerPolicy)) next.add(subjectPolicy);
  }
  return next;
}

function countDown(state: State): void {
  state.explicitPolicy = Math.max(0, state.explicitPolicy - 1);
  state.policyMapping = Math.max(0, state.policyMapping - 1);
  state.anyPolicy = Math.max(0, state.anyPolicy - 1);
}
