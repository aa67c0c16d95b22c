import type { KeyObject } from 'node:crypto';
import { WritError } from '../../base/error.ts';
import { newId } from '../../base/id.ts';
import type { Random } from '../../base/random.ts';
import { generateKey } from '../../keys/generate.ts';
import { localSigner } from '../../keys/local.ts';
import { parseCertificate } from '../../x509/certificate.ts';
import { RFC5280 } from '../../x509/path/policy.ts';
import { validatePath } from '../../x509/path/validate.ts';
import type { Authority } from '../authority.ts';
import { signCertificate } from '../certificate/sign.ts';
import type { Hierarchy } from '../hierarchy.ts';
import { type Issuer, openIssuer, rootIssuer } from '../issuer.ts';
import { authorityPointers } from '../status-url.ts';
import { authorityName } from './name.ts';
import { prepareAuthority } from './prepare.ts';

/** An authority with its key, neither of them stored yet. */
export interface MadeAuthority {
  readonly authority: Authority;
  readonly key: KeyObject;
  readonly issuer: Issuer;
}

export interface MakeOptions {
  readonly kind: 'root' | 'intermediate' | 'issuing';
  readonly state: 'next' | 'active';
  /** Who signs; absent for a root, which signs itself. */
  readonly above?: Issuer;
  /** Seconds. */
  readonly lifetime: number;
  readonly now: number;
  readonly random: Random;
  /** Where the lists of authorities are served. */
  readonly statusUrl?: string;
}

/** Makes a key and has its certificate signed. Its id names both, and the key is to be sealed under that. */
export async function makeAuthority(
  { trustDomain, algorithm, nameConstraints }: Pick<Hierarchy, 'trustDomain' | 'algorithm' | 'nameConstraints'>,
  { kind, state, above, lifetime, now, random, statusUrl }: MakeOptions,
): Promise<MadeAuthority> {
  const id = newId(now, random);
  const key = await generateKey(algorithm);
  const signer = localSigner(key);
  const name = authorityName(kind, trustDomain, id);
  const signs = above ?? rootIssuer(id, name, trustDomain, signer);
  const pointers = above === undefined || statusUrl === undefined ? [] : authorityPointers(statusUrl, above.id);
  const request = { kind, name, spki: signer.spki, lifetime, nameConstraints, pointers };
  const signed = await signCertificate(signs, prepareAuthority(signs, request, { now, random }));
  const certificate = parseCertificate(signed.der);
  const authority: Authority = {
    id,
    kind,
    state,
    certificate,
    ...(above === undefined ? {} : { issuer: above.id }),
    keyId: id,
    signsUntil: state === 'active' ? certificate.notAfter : 0,
    createdAt: now,
  };
  return { authority, key, issuer: openIssuer(authority, trustDomain, signer) };
}

/**
 * Holds a new authority against the chain above it as any relying party would (RFC 5280 §6), before it is recorded.
 * Throws `bad_certificate` with what does not hold.
 */
export function requireValidPath(made: Authority, above: readonly Authority[], now: number): void {
  const result = validatePath({
    leaf: made.certificate,
    intermediates: above.filter(({ kind }) => kind !== 'root').map(({ certificate }) => certificate),
    anchors: above.filter(({ kind }) => kind === 'root').map(({ certificate }) => certificate),
    at: now,
    policy: RFC5280,
  });
  if (result.valid) return;
  throw new WritError('bad_certificate', `A certificate under this authority does not validate: ${result.detail}`, {
    remedy: 'Nothing was recorded; see docs/HIERARCHY.md for what the authority above must permit.',
  });
}
