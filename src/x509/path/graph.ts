import { isWritError } from '../../base/error.ts';
import { sameBytes } from '../../der/bytes.ts';
import type { Certificate } from '../certificate.ts';
import { certificateFault, type Role, type Standard } from './certificate-rules.ts';
import { type Facts, nameKey, readFacts } from './facts.ts';
import { type Fault, fault } from './result.ts';
import { isSignedWith } from './signature.ts';

/** A certificate at hand, and what became of it when it was first looked at. */
interface Node {
  readonly certificate: Certificate;
  readonly role: Role;
  readonly subject: string;
  /** Undefined when the certificate is malformed. */
  readonly facts: Facts | undefined;
  /** Why it cannot stand in any path in this role. */
  readonly fault: Fault | undefined;
}

/**
 * The certificates at hand as a graph whose edges lead from a certificate to those that may have issued it. Each one
 * is decoded and judged when a path first comes by, each signature verified once, however many branches there are.
 */
export interface Graph {
  readonly leaf: Node;
  /** Those whose subject is the issuer's name (RFC 5280 §6.1.3 (a) (4)), the likeliest first. */
  issuersOf(child: Facts): readonly Node[];
  isSignedBy(child: Facts, issuer: Facts): boolean;
}

export interface Certificates {
  readonly leaf: Certificate;
  readonly intermediates: readonly Certificate[];
  readonly anchors: readonly Certificate[];
}

export function newGraph({ leaf, intermediates, anchors }: Certificates, standard: Standard): Graph {
  const candidates = [...anchors.map(named('anchor')), ...intermediates.map(named('intermediate'))];
  const nodes = new Map<Candidate, Node>();
  const signatures = new Map<Facts, Map<Facts, boolean>>();

  const nodeOf = (candidate: Candidate): Node => {
    const known = nodes.get(candidate) ?? judge(candidate, standard);
    nodes.set(candidate, known);
    return known;
  };

  return {
    leaf: nodeOf(named('leaf')(leaf)),
    issuersOf(child) {
      const name = nameKey(child.certificate.issuer);
      const issuers = candidates.filter(({ subject }) => subject === name).map(nodeOf);
      return [
        ...issuers.filter((issuer) => isLikely(child, issuer)),
        ...issuers.filter((issuer) => !isLikely(child, issuer)),
      ];
    },
    isSignedBy(child, issuer) {
      const known = signatures.get(child) ?? new Map<Facts, boolean>();
      signatures.set(child, known);
      const verdict = known.get(issuer) ?? isSignedWith(issuer.publicKey, child.certificate, standard.budget);
      known.set(issuer, verdict);
      return verdict;
    },
  };
}

type Candidate = Pick<Node, 'certificate' | 'role' | 'subject'>;

function named(role: Role): (certificate: Certificate) => Candidate {
  return (certificate) => ({ certificate, role, subject: nameKey(certificate.subject) });
}

function judge(candidate: Candidate, standard: Standard): Node {
  let facts: Facts;
  try {
    facts = readFacts(candidate.certificate);
  } catch (error) {
    if (!isWritError(error)) throw error;
    return { ...candidate, facts: undefined, fault: fault('bad_certificate', `is malformed: ${error.message}`) };
  }
  return { ...candidate, facts, fault: certificateFault(facts, candidate.role, standard) };
}

/** Anchors, and those that bear the key identifier that the child names: a hint that orders, never a reason to refuse. */
function isLikely(child: Facts, { role, facts }: Node): boolean {
  const wanted = child.authorityKeyIdentifier?.keyIdentifier;
  const borne = facts?.subjectKeyIdentifier;
  return role === 'anchor' || (wanted !== undefined && borne !== undefined && sameBytes(wanted, borne));
}
