import type { Certificate } from '../../x509/certificate.ts';
import { type Authority, activeOf } from '../authority.ts';
import type { Hierarchy, StoredCrl } from '../hierarchy.ts';
import { LIFETIMES } from '../lifetime.ts';

/** One thing that is to be done to the authorities now. Each is one commit. */
export type Step =
  | { readonly do: 'make-intermediate'; readonly root: Authority }
  | { readonly do: 'make-next-issuing'; readonly intermediate: Authority }
  /** `to`, which is `next`, takes over from `from`, the active one, if there is any. */
  | { readonly do: 'take-over'; readonly from: Authority | undefined; readonly to: Authority }
  | { readonly do: 'sign-crl'; readonly of: Authority }
  | { readonly do: 'delete-key'; readonly of: Authority };

export interface StepOptions {
  /** Milliseconds. */
  readonly now: number;
  /** Seconds: life of a new issuing authority, `issuingLifetime`. */
  readonly issuingLifetime: number;
  /** The issuing authority with this id is to be succeeded now, whatever its age. */
  readonly succeed?: string;
}

/** A successor is worth making when it lives at least this much longer. Milliseconds. */
const WORTHWHILE = 24 * 3600 * 1000;

/**
 * The first thing that is due, worked out from what is stored and the time alone; undefined when there is nothing. Do
 * it, read the hierarchy again, ask again: a machine that slept for months is brought up to date step by step.
 */
export function nextStep(hierarchy: Hierarchy, options: StepOptions): Step | undefined {
  return (
    intermediateStep(hierarchy, options) ??
    issuingStep(hierarchy, options) ??
    crlStep(hierarchy, options.now) ??
    keyStep(hierarchy, options.now)
  );
}

/** Milliseconds: from then on an intermediate cannot give a whole life to a new issuing authority. */
export function intermediateDueAt(intermediate: Authority, issuingLifetime: number): number {
  return intermediate.certificate.notAfter - issuingLifetime * 1000;
}

function intermediateStep(hierarchy: Hierarchy, { now, issuingLifetime }: StepOptions): Step | undefined {
  const root = activeOf(hierarchy.authorities, 'root');
  if (hierarchy.root !== 'online' || root === undefined || now > root.certificate.notAfter) return undefined;
  const active = activeOf(hierarchy.authorities, 'intermediate');
  if (active !== undefined) {
    if (now < intermediateDueAt(active, issuingLifetime) - LIFETIMES.announce * 1000) return undefined;
    // Near the root's own end a new one would end with it, as the present one does.
    const end = Math.min(now + LIFETIMES.intermediate * 1000, root.certificate.notAfter);
    if (end < active.certificate.notAfter + WORTHWHILE) return undefined;
  }
  return { do: 'make-intermediate', root };
}

function issuingStep(hierarchy: Hierarchy, options: StepOptions): Step | undefined {
  const intermediate = activeOf(hierarchy.authorities, 'intermediate');
  const active = activeOf(hierarchy.authorities, 'issuing');
  const next = hierarchy.authorities.find(
    ({ kind, state, certificate }) => kind === 'issuing' && state === 'next' && certificate.notAfter > options.now,
  );
  const takesOverAt = active === undefined ? options.now : succeededAt(active, intermediate, options);
  if (next !== undefined) {
    return options.now >= takesOverAt ? { do: 'take-over', from: active, to: next } : undefined;
  }
  if (intermediate === undefined || options.now > intermediate.certificate.notAfter) return undefined;
  if (options.now < takesOverAt - LIFETIMES.issuingAhead * 1000) return undefined;
  return { do: 'make-next-issuing', intermediate };
}

/** Milliseconds: when the active issuing authority is to be succeeded. */
function succeededAt(active: Authority, intermediate: Authority | undefined, options: StepOptions): number {
  if (options.succeed === active.id) return options.now;
  const usual = active.createdAt + LIFETIMES.issuingSigns * 1000;
  // One whose life the intermediate cut short stops in time for its leaves, if a successor would live longer.
  const early = active.certificate.notAfter - (options.issuingLifetime - LIFETIMES.issuingSigns) * 1000;
  const end = Math.min(options.now + options.issuingLifetime * 1000, intermediate?.certificate.notAfter ?? 0);
  return early < usual && end >= active.certificate.notAfter + WORTHWHILE ? early : usual;
}

/** Whether the list of a root, or of an authority below one, is to be followed on schedule, whatever it says. */
export function isListEnding(
  { kind, certificate }: { readonly kind: string; readonly certificate: Pick<Certificate, 'notAfter'> },
  { nextUpdate }: Pick<StoredCrl, 'nextUpdate'>,
  now: number,
): boolean {
  const ahead = kind === 'root' ? LIFETIMES.announce : LIFETIMES.intermediateCrl / 2;
  // A list that ends with its authority cannot be made to last longer.
  return now >= nextUpdate - ahead * 1000 && nextUpdate < certificate.notAfter;
}

/** The lists of authorities whose key is here: intermediates until they expire, and an online root. */
function crlStep(hierarchy: Hierarchy, now: number): Step | undefined {
  for (const authority of hierarchy.authorities) {
    const { id, kind, keyId, certificate } = authority;
    if (keyId === undefined || kind === 'issuing' || certificate.notAfter < now) continue;
    const last = hierarchy.crls.find((crl) => crl.authority === id);
    if (last === undefined || isListEnding(authority, last, now)) return { do: 'sign-crl', of: authority };
  }
  return undefined;
}

/** Keys of authorities below the root that have expired: nothing of theirs is valid any more. */
function keyStep(hierarchy: Hierarchy, now: number): Step | undefined {
  const of = hierarchy.authorities.find(
    ({ kind, state, keyId, certificate }) =>
      keyId !== undefined && kind !== 'root' && state !== 'active' && certificate.notAfter < now,
  );
  return of === undefined ? undefined : { do: 'delete-key', of };
}
