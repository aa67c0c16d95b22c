import type { Certificate } from '../x509/certificate.ts';

/**
 * - `root`: the trust anchor, ours or somebody else's.
 * - `upstream`: an authority of somebody else between their root and our intermediate. Never signs for us.
 * - `intermediate`: signs issuing authorities.
 * - `issuing`: signs leaves.
 */
export type AuthorityKind = 'root' | 'upstream' | 'intermediate' | 'issuing';

/**
 * - `next`: made and recorded, signs nothing yet, so that every process has it before it is wanted.
 * - `active`: signs. Of each kind of ours there is at most one.
 * - `retired`: signs revocation lists and the certificates of its OCSP responders alone, until its certificate expires.
 */
export type AuthorityState = 'next' | 'active' | 'retired';

/** A CA certificate of the hierarchy and where its key is. Plain data: it passes to another thread as it is. */
export interface Authority {
  readonly id: string;
  readonly kind: AuthorityKind;
  readonly state: AuthorityState;
  readonly certificate: Certificate;
  /** Id of the authority above; absent for the root. */
  readonly issuer?: string;
  /** Id of its key among the sealed ones; absent when it is offline, not ours, or deleted. */
  readonly keyId?: string;
  /**
   * Milliseconds. What it signed is committed when it was issued at or before this: its own end while it is active, a
   * few minutes after the rotation when it is retired, 0 before its time.
   */
  readonly signsUntil: number;
  readonly createdAt: number;
}

/** The purpose under which keys of authorities are sealed. Stored; never changes. */
export const AUTHORITY_KEY = 'authority';

/**
 * What a peer sends after its leaf: the authority with this id and those above it, the root left out. Throws nothing: a
 * chain that is broken ends where it is.
 */
export function chainOf(authorities: readonly Authority[], id: string): Authority[] {
  const chain: Authority[] = [];
  let at = authorities.find((authority) => authority.id === id);
  while (at !== undefined && at.issuer !== undefined && !chain.includes(at)) {
    chain.push(at);
    const above = at.issuer;
    at = authorities.find((authority) => authority.id === above);
  }
  return chain;
}

/** The one of its kind that signs now, if there is one; also among those of a further trust domain. */
export function activeOf<One extends { readonly kind: string; readonly state: string }>(
  authorities: readonly One[],
  kind: One['kind'],
): One | undefined {
  return authorities.find((authority) => authority.kind === kind && authority.state === 'active');
}

/** The trust anchors, the newest first. */
export function rootsOf(authorities: readonly Authority[]): Authority[] {
  return authorities.filter(({ kind }) => kind === 'root').sort((a, b) => b.createdAt - a.createdAt);
}
