import type { Crl } from '../crl.ts';
import { policyFault } from './certificate-policies.ts';
import type { Standard } from './certificate-rules.ts';
import type { Facts } from './facts.ts';
import { type Constraints, permits } from './name-constraints.ts';
import { type Fault, fault, position } from './result.ts';
import { revocationFault } from './revocation.ts';

/** What the rules of a whole path judge by, beside the standard for each certificate. */
export interface PathStandard extends Standard {
  /** How many intermediates there may be between leaf and anchor, self-issued ones not counted. */
  readonly maxDepth: number;
  readonly crls: readonly Crl[];
}

/**
 * The rules that hold between the certificates of a path (RFC 5280 §6.1), whose names chain and whose signatures hold.
 * `path` runs from the leaf to the trust anchor, whose own constraints count, too.
 */
export function pathFault(path: readonly Facts[], standard: PathStandard): Fault | undefined {
  const downward = path.toReversed();
  return (
    pathLengthFault(downward, standard.maxDepth) ??
    nameConstraintFault(downward, standard) ??
    certificatePolicyFault(downward) ??
    pathRevocationFault(downward, standard)
  );
}

/** §6.1.4 (l) and (m). Self-issued certificates use up no length. */
function pathLengthFault(downward: readonly Facts[], maxDepth: number): Fault | undefined {
  let left = Number.POSITIVE_INFINITY;
  let counted = 0;
  for (const [steps, { basicConstraints, selfIssued }] of downward.slice(0, -1).entries()) {
    if (steps > 0 && !selfIssued) {
      if (left === 0) return fault('path_too_long', 'an authority allows fewer authorities below it');
      left--;
      if (++counted > maxDepth) return fault('path_too_long', `there are more than ${maxDepth} intermediates`);
    }
    left = Math.min(left, basicConstraints?.pathLength ?? left);
  }
  return undefined;
}

/**
 * §6.1.3 (b) and (c), §6.1.4 (g): every certificate against the constraints of every authority above it. Self-issued
 * certificates are exempt unless they are the leaf.
 */
function nameConstraintFault(downward: readonly Facts[], { budget }: Standard): Fault | undefined {
  const above: Constraints[] = [];
  for (const [steps, { names, constraints, selfIssued }] of downward.entries()) {
    const depth = downward.length - 1 - steps;
    if (depth === 0 || !selfIssued) {
      const allowed = above.every((authority) => permits(authority, names, budget));
      if (!allowed) return fault('name_constraint', `${position(depth)} has a name that an authority above excludes`);
    }
    if (constraints !== undefined) above.push(constraints);
  }
  return undefined;
}

function certificatePolicyFault(downward: readonly Facts[]): Fault | undefined {
  const detail = policyFault(downward.map(({ policies }) => policies));
  return detail === undefined ? undefined : fault('certificate_policy', detail);
}

/** §6.1.3 (a) (3), for every certificate below the anchor, from the top: a revoked issuer's list says nothing. */
function pathRevocationFault(downward: readonly Facts[], standard: PathStandard): Fault | undefined {
  for (const [steps, subject] of downward.entries()) {
    const issuer = downward[steps - 1];
    const broken = issuer && revocationFault(subject, issuer, standard.crls, standard);
    if (broken) return fault(broken.reason, `${position(downward.length - 1 - steps)} ${broken.detail}`);
  }
  return undefined;
}
