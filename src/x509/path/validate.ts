import { isWritError } from '../../base/error.ts';
import { sameBytes } from '../../der/bytes.ts';
import type { Certificate } from '../certificate.ts';
import type { Crl } from '../crl.ts';
import type { KeyUsage } from '../extensions/key-usage.ts';
import type { Purpose } from './certificate-rules.ts';
import { type Facts, nameKey } from './facts.ts';
import { type Graph, newGraph } from './graph.ts';
import { LIMITS, newBudget } from './limits.ts';
import { type PathStandard, pathFault } from './path-rules.ts';
import type { PathPolicy } from './policy.ts';
import { isNamed, type ReferenceName } from './reference-name.ts';
import { type Fault, fault, type PathResult, position } from './result.ts';

export interface PathRequest {
  readonly leaf: Certificate;
  /** Certificates to build with, in no order; nobody need trust them, and what does not fit is passed over. */
  readonly intermediates: readonly Certificate[];
  /** The only certificates that are trusted by themselves. They are held to the same rules as any authority. */
  readonly anchors: readonly Certificate[];
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
  readonly policy: PathPolicy;
  /** What the leaf is to be used for. Absent: any purpose. */
  readonly purpose?: Purpose;
  /** A usage that the leaf's key usage must include, where it has that extension. */
  readonly keyUsage?: KeyUsage;
  /** A name that the leaf must carry. Absent: any name, and the caller looks for itself. */
  readonly name?: ReferenceName;
  /** Intermediates allowed between leaf and anchor, self-issued ones not counted. `LIMITS.depth` holds besides. */
  readonly maxDepth?: number;
  /** Revocation lists of any issuers; `revocationFault` says what they do. */
  readonly crls?: readonly Crl[];
}

/**
 * Builds a path from the leaf to one of the anchors and validates it (RFC 5280 §6), trying branch after branch within
 * `LIMITS`. When no path holds, the reason is that of the attempt that came furthest. Throws for nothing that the
 * certificates, lists and names hold.
 */
export function validatePath(request: PathRequest): PathResult {
  if (request.intermediates.length > LIMITS.intermediates) {
    return {
      valid: false,
      reason: 'too_complex',
      detail: `There are more than ${LIMITS.intermediates} intermediates.`,
    };
  }
  const standard: PathStandard = {
    at: Math.floor(request.at / 1000) * 1000,
    policy: request.policy,
    purpose: request.purpose,
    keyUsage: request.keyUsage,
    maxDepth: request.maxDepth ?? LIMITS.depth,
    crls: request.crls ?? [],
    budget: newBudget(),
  };
  try {
    const graph = newGraph(request, standard);
    const { facts } = graph.leaf;
    const broken = graph.leaf.fault ?? nameFault(facts, request);
    if (facts === undefined || broken !== undefined) return { valid: false, ...at(0, broken!) };
    return search(facts, graph, standard);
  } catch (error) {
    if (!isWritError(error, 'too_large')) throw error;
    return { valid: false, reason: 'too_complex', detail: error.message };
  }
}

/** Depth first, from the leaf up. */
function search(leaf: Facts, graph: Graph, standard: PathStandard): PathResult {
  let furthest: { rank: number; fault: Fault } | undefined;
  const note = (rank: number, broken: Fault): undefined => {
    if (furthest === undefined || rank > furthest.rank) furthest = { rank, fault: broken };
  };

  /** The path continued to an anchor, if there is a way. `path` runs from the leaf up. */
  const extend = (path: readonly Facts[]): readonly Facts[] | undefined => {
    const child = path.at(-1)!;
    const issuers = graph.issuersOf(child);
    if (issuers.length === 0) return note(path.length, at(path.length, NO_ISSUER));
    for (const { facts: issuer, role, fault: broken } of issuers) {
      standard.budget.spend('steps');
      if (issuer === undefined || broken !== undefined) {
        note(path.length, at(path.length, broken!));
      } else if (path.some((below) => isSameEntity(below, issuer))) {
        note(path.length, at(path.length, CIRCLE));
      } else if (!graph.isSignedBy(child, issuer)) {
        note(path.length, at(path.length - 1, UNSIGNED));
      } else if (role === 'anchor') {
        const whole = [...path, issuer];
        const fault = pathFault(whole, standard);
        if (fault === undefined) return whole;
        note(LIMITS.depth + path.length, fault);
      } else if (path.length + 1 === LIMITS.depth) {
        note(path.length, TOO_LONG);
      } else {
        const whole = extend([...path, issuer]);
        if (whole !== undefined) return whole;
      }
    }
    return undefined;
  };

  const path = extend([leaf]);
  if (path !== undefined) return { valid: true, path: path.map(({ certificate }) => certificate) };
  return { valid: false, ...(furthest?.fault ?? NO_ISSUER) };
}

const NO_ISSUER = fault('no_trusted_issuer', 'is not at hand');
const CIRCLE = fault('no_trusted_issuer', 'leads back to a certificate below it');
const UNSIGNED = fault('bad_signature', 'was not signed by the issuer that it names');
const TOO_LONG = fault('path_too_long', `a path is longer than ${LIMITS.depth} certificates`);

/** The fault as a sentence about the certificate so many steps above the leaf. */
function at(depth: number, { reason, detail }: Fault): Fault {
  return fault(reason, `${position(depth)} ${detail}`);
}

/** The same name and key twice in a path adds nothing (RFC 4158 §5.2), and lets a path go round in circles. */
function isSameEntity(a: Facts, b: Facts): boolean {
  if (!sameBytes(a.certificate.spki, b.certificate.spki)) return false;
  return nameKey(a.certificate.subject) === nameKey(b.certificate.subject);
}

function nameFault(facts: Facts | undefined, { name, policy }: PathRequest): Fault | undefined {
  if (name === undefined || isNamed(facts?.alternativeNames ?? [], name, policy.wildcards)) return undefined;
  return fault('wrong_name', 'does not carry the expected name');
}
