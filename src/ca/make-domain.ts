import { newId } from '../base/id.ts';
import type { Random } from '../base/random.ts';
import type { Batch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import type { KeyAlgorithm } from '../keys/generate.ts';
import { addKey, type Keyring, openKey } from '../keys/keyring.ts';
import { localSigner } from '../keys/local.ts';
import type { TrustDomain } from '../spiffe-id/trust-domain.ts';
import { parseCertificate } from '../x509/certificate.ts';
import { encodeNameConstraints } from '../x509/extensions/name-constraints.ts';
import type { PublicKey } from '../x509/public-key.ts';
import type { Authority } from './authority.ts';
import { authorityName } from './authority-name.ts';
import { DOMAIN_KEY, type DomainAuthority, insertDomainAuthority } from './domain.ts';
import { openIssuer } from './issuer.ts';
import { LIFETIMES } from './lifetime.ts';
import { makeAuthority, requireValidPath } from './make-authority.ts';
import { nameConstraintsFor } from './name-constraints.ts';
import { prepareAuthority } from './prepare-authority.ts';
import { signCertificate } from './sign.ts';

interface Act {
  readonly now: number;
  readonly random: Random;
  readonly caller: string;
}

/** DNS names and SPIFFE IDs of this one trust domain, no address and no mailbox. */
function constraintsOf(trustDomain: TrustDomain): Uint8Array {
  return encodeNameConstraints(nameConstraintsFor({ trustDomain, dns: [], networks: [], loopback: false }));
}

/**
 * Pushes the root of a further trust domain and the authority under it that signs subordinate ones, each confined to that
 * domain, with their keys. Throws `bad_spiffe_id` for a name that authorities cannot be confined to.
 */
export async function makeDomainAuthorities(
  batch: Batch,
  { trustDomain, algorithm }: { readonly trustDomain: TrustDomain; readonly algorithm: KeyAlgorithm },
  { keyring, now, random, caller }: Act & { readonly keyring: Keyring },
): Promise<{ readonly root: DomainAuthority; readonly signing: DomainAuthority }> {
  const frame = { trustDomain, algorithm, nameConstraints: constraintsOf(trustDomain) };
  const make = { state: 'active', now, random } as const;
  const root = await makeAuthority(frame, { ...make, kind: 'root', lifetime: LIFETIMES.root });
  const above = root.issuer;
  const signing = await makeAuthority(frame, {
    ...make,
    kind: 'intermediate',
    above,
    lifetime: LIFETIMES.intermediate,
  });
  requireValidPath(signing.authority, [root.authority], now);
  const [first, second] = [root, signing].map(({ authority, key }) => {
    addKey(batch, keyring, { id: authority.id, purpose: DOMAIN_KEY, key, now, random });
    const kind = authority.kind === 'root' ? 'root' : 'intermediate';
    const made: DomainAuthority = {
      ...{ id: authority.id, trustDomain, kind, certificate: authority.certificate, createdAt: now, createdBy: caller },
      ...(authority.issuer === undefined ? {} : { issuer: authority.issuer }),
    };
    insertDomainAuthority(batch, made);
    return made;
  });
  return { root: first!, signing: second! };
}

/**
 * Signs a subordinate authority for somebody else's key: path length 0, confined to the trust domain like all above it. Nothing of a
 * request is taken but the key. It is in no database yet. Throws as `openKey`, `expired`, `lint_failed`.
 */
export async function signSubordinate(
  {
    signing,
    above,
    key,
    lifetime,
  }: {
    readonly signing: DomainAuthority;
    /** All authorities above it, the root included. */
    readonly above: readonly DomainAuthority[];
    readonly key: PublicKey;
    /** Seconds. */
    readonly lifetime: number;
  },
  { reader, keyring, now, random, caller }: Act & { readonly reader: Reader; readonly keyring: Keyring },
): Promise<DomainAuthority> {
  const { trustDomain } = signing;
  const signer = localSigner(await openKey(reader, keyring, { id: signing.id, purpose: DOMAIN_KEY }));
  const issuer = openIssuer(asAuthority(signing), trustDomain, signer);
  const id = newId(now, random);
  const request = {
    kind: 'issuing' as const,
    ...{ name: authorityName('issuing', trustDomain, id), spki: key.spki, lifetime },
    nameConstraints: constraintsOf(trustDomain),
  };
  const signed = await signCertificate(issuer, prepareAuthority(issuer, request, { now, random }));
  const made: DomainAuthority = {
    ...{ id, trustDomain, kind: 'subordinate', certificate: parseCertificate(signed.der), issuer: signing.id },
    ...{ createdAt: now, createdBy: caller },
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
