import { activeOf } from '../authority.ts';
import type { StoredCrl } from '../hierarchy.ts';
import { LIFETIMES } from '../lifetime.ts';
import type { Domain, DomainAuthority } from './domain.ts';
import { isListDue } from './list.ts';

/** One thing that is to be done to the authorities of a further trust domain now. Each is one commit. */
export type DomainStep =
  /** A root that is published and signs from `signsFrom` (milliseconds) on. */
  | { readonly do: 'publish-root'; readonly signsFrom: number }
  /** A root, where there is none that signs, or `to`, which was published, in place of `from`. */
  | { readonly do: 'replace-root'; readonly from?: DomainAuthority; readonly to?: DomainAuthority }
  /** Another authority signs subordinate ones, in place of `from`. */
  | { readonly do: 'replace-signing'; readonly root: DomainAuthority; readonly from?: DomainAuthority }
  | { readonly do: 'sign-list'; readonly of: DomainAuthority }
  /** Nothing that it signed is valid any more. */
  | { readonly do: 'end'; readonly of: DomainAuthority };

/** All that is stored of a further trust domain. */
export interface DomainState {
  readonly domain: Domain;
  readonly authorities: readonly DomainAuthority[];
  readonly lists: readonly StoredCrl[];
}

/**
 * Milliseconds for which a root is published before it signs. Whoever polls learns of it within minutes; who is given bundles by
 * hand has a week.
 */
export const ROOT_AHEAD_MS: number = 7 * 86_400_000;

/** A successor is worth making when it lives at least this much longer. Milliseconds. */
const WORTHWHILE = 24 * 3600 * 1000;

/**
 * The first thing that is due, worked out from what is stored and the time alone; undefined when there is nothing. Do it,
 * read again, ask again.
 */
export function nextDomainStep(state: DomainState, now: number): DomainStep | undefined {
  const { domain, authorities } = state;
  if (domain.state === 'closed') return undefined;
  return (
    rootStep(domain, authorities, now) ??
    signingStep(domain, authorities, now) ??
    listStep(state, now) ??
    endStep(authorities, now)
  );
}

/** Milliseconds: from then on an authority cannot give a whole life to what is below it, announced ahead. */
function dueAt({ certificate }: DomainAuthority, { profile }: Domain): number {
  return certificate.notAfter - (profile.mostSeconds + LIFETIMES.announce) * 1000;
}

function rootStep(domain: Domain, authorities: readonly DomainAuthority[], now: number): DomainStep | undefined {
  const root = activeOf(authorities, 'root');
  const next = authorities.find(({ kind, state }) => kind === 'root' && state === 'next');
  if (next !== undefined) {
    if (root !== undefined && now < (next.signsFrom ?? 0)) return undefined;
    return { do: 'replace-root', to: next, ...(root === undefined ? {} : { from: root }) };
  }
  if (root === undefined || root.certificate.notAfter <= now) {
    return { do: 'replace-root', ...(root === undefined ? {} : { from: root }) };
  }
  return now < dueAt(root, domain) ? undefined : { do: 'publish-root', signsFrom: now + ROOT_AHEAD_MS };
}

function signingStep(domain: Domain, authorities: readonly DomainAuthority[], now: number): DomainStep | undefined {
  const root = activeOf(authorities, 'root');
  if (root === undefined) return undefined;
  const signing = activeOf(authorities, 'intermediate');
  if (signing === undefined) return { do: 'replace-signing', root };
  if (now < dueAt(signing, domain)) return undefined;
  // Near the root's own end a new one would end with it; the next root brings one.
  const end = Math.min(now + LIFETIMES.intermediate * 1000, root.certificate.notAfter);
  return end < signing.certificate.notAfter + WORTHWHILE ? undefined : { do: 'replace-signing', root, from: signing };
}

function listStep({ authorities, lists }: DomainState, now: number): DomainStep | undefined {
  const of = authorities.find((one) => isListDue(one, { authorities, lists, now }));
  return of === undefined ? undefined : { do: 'sign-list', of };
}

function endStep(authorities: readonly DomainAuthority[], now: number): DomainStep | undefined {
  const of = authorities.find((one) => one.state === 'retired' && !hasValidBelow(one, authorities, now));
  return of === undefined ? undefined : { do: 'end', of };
}

/** Whether anything that an authority signed has force still; of a root what those below it signed. */
function hasValidBelow({ id, kind }: DomainAuthority, authorities: readonly DomainAuthority[], now: number): boolean {
  return authorities.some(({ issuer, state, certificate }) => {
    return issuer === id && (kind === 'root' ? state !== 'ended' : state === 'active' && certificate.notAfter > now);
  });
}
