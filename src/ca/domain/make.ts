import type { KeyObject } from 'node:crypto';
import { newId } from '../../base/id.ts';
import type { Random } from '../../base/random.ts';
import type { Batch, JsonValue } from '../../db/batch.ts';
import type { Reader } from '../../db/database.ts';
import type { KeyAlgorithm } from '../../keys/generate.ts';
import { addKey, type Keyring, openKey } from '../../keys/keyring.ts';
import { localSigner } from '../../keys/local.ts';
import type { TrustDomain } from '../../spiffe-id/trust-domain.ts';
import { parseCertificate } from '../../x509/certificate.ts';
import { encodeNameConstraints } from '../../x509/extensions/name-constraints.ts';
import type { PublicKey } from '../../x509/public-key.ts';
import { type MadeAuthority, makeAuthority, requireValidPath } from '../authority/make.ts';
import { authorityName } from '../authority/name.ts';
import { nameConstraintsFor } from '../authority/name-constraints.ts';
import { prepareAuthority } from '../authority/prepare.ts';
import type { Authority } from '../authority.ts';
import { formatSerial } from '../certificate/serial.ts';
import { signCertificate } from '../certificate/sign.ts';
import { type Issuer, openIssuer } from '../issuer.ts';
import { LIFETIMES } from '../lifetime.ts';
import { authorityPointers } from '../status-url.ts';
import { DOMAIN_KEY, type Domain, type DomainAuthority, insertDomainAuthority } from './domain.ts';

/** What making authorities of a further trust domain takes. */
export interface DomainMeans {
  readonly keyring: Keyring;
  readonly random: Random;
  /** Kind of key of what is made here. */
  readonly algorithm: KeyAlgorithm;
  /** Where the lists are served (`STATUS_PATHS`). */
  readonly statusUrl: string;
  /** Milliseconds. */
  readonly now: number;
  /** Id of the caller. */
  readonly caller: string;
}

/** An authority with what signs in its name. */
export interface OpenDomainAuthority {
  readonly authority: DomainAuthority;
  readonly issuer: Issuer;
}

/** DNS names and SPIFFE IDs of this one trust domain, no address and no mailbox. */
function constraintsOf(trustDomain: TrustDomain): Uint8Array {
  return encodeNameConstraints(nameConstraintsFor({ trustDomain, dns: [], networks: [], loopback: false }));
}

/**
 * Pushes a root of a further trust domain, confined to that domain, with its key. Throws `bad_spiffe_id` for a name that
 * authorities cannot be confined to.
 */
export async function makeRoot(
  batch: Batch,
  trustDomain: TrustDomain,
  role: Pick<DomainAuthority, 'state' | 'signsFrom'>,
  means: DomainMeans,
): Promise<OpenDomainAuthority> {
  const { algorithm, now, random } = means;
  const frame = { trustDomain, algorithm, nameConstraints: constraintsOf(trustDomain) };
  const made = await makeAuthority(frame, { kind: 'root', state: 'active', lifetime: LIFETIMES.root, now, random });
  return keep(batch, trustDomain, made, role, means);
}

/** Pushes the authority that signs subordinate ones, under a root of the same domain, with its key. Throws `expired`. */
export async function makeSigning(
  batch: Batch,
  root: OpenDomainAuthority,
  means: DomainMeans,
): Promise<OpenDomainAuthority> {
  const { trustDomain } = root.authority;
  const { algorithm, now, random, statusUrl } = means;
  const frame = { trustDomain, algorithm, nameConstraints: constraintsOf(trustDomain) };
  const made = await makeAuthority(frame, {
    ...{ kind: 'intermediate', state: 'active', above: root.issuer, lifetime: LIFETIMES.intermediate },
    ...{ now, random, statusUrl },
  });
  requireValidPath(made.authority, [asAuthority(root.authority)], now);
  return keep(batch, trustDomain, made, { state: 'active' }, means);
}

function keep(
  batch: Batch,
  trustDomain: TrustDomain,
  { authority, key, issuer }: MadeAuthority & { readonly key: KeyObject },
  role: Pick<DomainAuthority, 'state' | 'signsFrom'>,
  { keyring, random, now, caller }: DomainMeans,
): OpenDomainAuthority {
  const { id, certificate } = authority;
  addKey(batch, keyring, { id, purpose: DOMAIN_KEY, key, now, random });
  const made: DomainAuthority = {
    ...{ id, trustDomain, kind: authority.kind === 'root' ? 'root' : 'intermediate', ...role, certificate },
    ...(authority.issuer === undefined ? {} : { issuer: authority.issuer }),
    ...{ createdAt: now, createdBy: caller },
  };
  insertDomainAuthority(batch, made);
  return { authority: made, issuer };
}

/** Opens the key of a root or of an authority that signs subordinate ones. Throws as `openKey`. */
export async function openDomainAuthority(
  reader: Reader,
  keyring: Keyring,
  authority: DomainAuthority,
): Promise<OpenDomainAuthority> {
  const signer = localSigner(await openKey(reader, keyring, { id: authority.id, purpose: DOMAIN_KEY }));
  return { authority, issuer: openIssuer(asAuthority(authority), authority.trustDomain, signer) };
}

/**
 * Signs a subordinate authority for somebody else's key: path length 0, confined to the trust domain like all above it. Nothing of a
 * request is taken but the key. It is in no database yet. Throws `expired`, `lint_failed`.
 */
export async function signSubordinate(
  signing: OpenDomainAuthority,
  {
    above,
    key,
    lifetime,
  }: {
    /** All authorities above it, the root included. */
    readonly above: readonly DomainAuthority[];
    readonly key: PublicKey;
    /** Seconds. */
    readonly lifetime: number;
  },
  { now, random, caller, statusUrl }: Omit<DomainMeans, 'keyring' | 'algorithm'>,
): Promise<DomainAuthority> {
  const { issuer } = signing;
  const { trustDomain } = signing.authority;
  const id = newId(now, random);
  const request = {
    kind: 'issuing' as const,
    ...{ name: authorityName('issuing', trustDomain, id), spki: key.spki, lifetime },
    ...{ nameConstraints: constraintsOf(trustDomain), pointers: authorityPointers(statusUrl, issuer.id) },
  };
  const signed = await signCertificate(issuer, prepareAuthority(issuer, request, { now, random }));
  const made: DomainAuthority = {
    ...{ id, trustDomain, kind: 'subordinate', state: 'active', certificate: parseCertificate(signed.der) },
    ...{ issuer: issuer.id, createdAt: now, createdBy: caller },
  };
  requireValidPath({ ...asAuthority(made), kind: 'issuing' }, above.map(asAuthority), now);
  return made;
}

/** As the functions of our own hierarchy know authorities. */
function asAuthority({ id, kind, certificate, issuer, createdAt }: DomainAuthority): Authority {
  return {
    ...{ id, kind: kind === 'subordinate' ? 'issuing' : kind, state: 'active', certificate, createdAt },
    signsUntil: certificate.notAfter,
    ...(issuer === undefined ? {} : { issuer }),
  };
}

/** Pushes an entry about a further trust domain, and about some of its authorities. */
export function recordDomain(
  batch: Batch,
  type: string,
  { trustDomain }: Pick<Domain, 'trustDomain'>,
  body: Readonly<Record<string, JsonValue>>,
  about: readonly DomainAuthority[] = [],
  more: readonly string[] = [],
): void {
  const serials = about.map(({ certificate }) => `serial:${formatSerial(certificate.serial)}`);
  batch.events.push({
    type,
    subjects: [`domain:${trustDomain}`, ...serials, ...more],
    body: { ...body, trust_domain: trustDomain },
  });
}

export function certificateText({ certificate }: DomainAuthority): string {
  return Buffer.from(certificate.raw).toString('base64url');
}
