import { isId } from '../base/id.ts';
import { isName, type Name } from './name.ts';
import { type SpiffeId, spiffeId } from './spiffe-id.ts';
import type { TrustDomain } from './trust-domain.ts';

/** Whom a SPIFFE ID of this installation names. The shapes are wire values and never change. */
export type Subject =
  /** `/agent/<agent>/<instance>` and `/service/<service>/<instance>`: one running copy. */
  | { readonly kind: 'agent' | 'service'; readonly name: Name; readonly instance: string }
  /** `/operator/<name>`. */
  | { readonly kind: 'operator'; readonly name: Name }
  /** `/writ/server`: the authority's own servers. */
  | { readonly kind: 'server' }
  /** `/writ/ocsp`: who signs its OCSP answers. */
  | { readonly kind: 'responder' };

export function instanceId(domain: TrustDomain, kind: 'agent' | 'service', name: Name, instance: string): SpiffeId {
  return spiffeId(domain, kind, name, instance);
}

export function operatorId(domain: TrustDomain, name: Name): SpiffeId {
  return spiffeId(domain, 'operator', name);
}

export function serverId(domain: TrustDomain): SpiffeId {
  return spiffeId(domain, 'writ', 'server');
}

export function responderId(domain: TrustDomain): SpiffeId {
  return spiffeId(domain, 'writ', 'ocsp');
}

/** The id of a subject: what `subjectOf` reads. */
export function subjectId(domain: TrustDomain, subject: Subject): SpiffeId {
  switch (subject.kind) {
    case 'operator':
      return operatorId(domain, subject.name);
    case 'server':
      return serverId(domain);
    case 'responder':
      return responderId(domain);
    default:
      return instanceId(domain, subject.kind, subject.name, subject.instance);
  }
}

/**
 * Reads whom an id names within `domain`. Undefined for an id of another trust domain and for any path that Writ does
 * not give out; neither is an error, since foreign ids are legitimate SPIFFE IDs.
 */
export function subjectOf(id: SpiffeId, domain: TrustDomain): Subject | undefined {
  if (id.trustDomain !== domain) return undefined;
  let subject = subjects.get(id);
  if (subject === undefined) {
    subject = subjectIn(id);
    if (subject !== undefined) subjects.set(id, subject);
  }
  return subject;
}

/** An id is immutable, and the one of a holder is asked about for each of its certificates. */
const subjects = new WeakMap<SpiffeId, Subject>();

function subjectIn(id: SpiffeId): Subject | undefined {
  const [kind, name, instance, ...more] = id.segments;
  if (kind === undefined || name === undefined || more.length > 0) return undefined;
  if (instance === undefined) {
    if (kind === 'writ' && name === 'server') return { kind: 'server' };
    if (kind === 'writ' && name === 'ocsp') return { kind: 'responder' };
    return kind === 'operator' && isName(name) ? { kind, name } : undefined;
  }
  if ((kind !== 'agent' && kind !== 'service') || !isName(name) || !isId(instance)) return undefined;
  return { kind, name, instance };
}
