import { createHash } from 'node:crypto';
import { isWritError } from '../base/error.ts';
import { type ParsedBundle, parseSpiffeBundle } from '../jwt/spiffe-bundle.ts';
import { parseSpiffeId } from '../spiffe-id/spiffe-id.ts';
import type { TrustDomain } from '../spiffe-id/trust-domain.ts';
import { type Certificate, parseCertificate } from '../x509/certificate.ts';
import { findExtension } from '../x509/extension.ts';
import { BASIC_CONSTRAINTS, decodeBasicConstraints } from '../x509/extensions/basic-constraints.ts';
import { uriNames } from '../x509/svid.ts';
import type { FederationFault, StoredBundle } from './federation.ts';

/** What nobody else may claim. */
export interface OwnTrust {
  readonly trustDomain: TrustDomain;
  /** DER SubjectPublicKeyInfo of each authority and each key of tokens. */
  readonly keys: readonly Uint8Array[];
}

export type JudgedBundle =
  | { readonly taken: true; readonly bundle: StoredBundle; readonly changed: boolean }
  | { readonly taken: false; readonly fault: FederationFault };

/**
 * Judges the bundle of another trust domain. What cannot be read is refused as a whole; an X.509 authority that Writ does not
 * understand, or that is none, is left out. A bundle whose sequence goes back is refused, and so is one that has a key of ours or
 * an authority that names our trust domain: nobody else speaks for it. Never throws.
 */
export function judgeBundle(octets: Uint8Array, before: StoredBundle | undefined, own: OwnTrust): JudgedBundle {
  let parsed: ParsedBundle;
  try {
    parsed = parseSpiffeBundle(octets, 'bundle');
  } catch (error) {
    if (!isWritError(error)) throw error;
    return { taken: false, fault: 'malformed' };
  }
  const keys = usable(parsed);
  if (claimsOurs(parsed, own)) return { taken: false, fault: 'own_domain' };
  const { sequence, refreshHint } = parsed;
  if (before?.sequence !== undefined) {
    if (sequence === undefined) return { taken: false, fault: 'sequence_missing' };
    if (sequence < before.sequence) return { taken: false, fault: 'sequence_back' };
  }
  const bundle: StoredBundle = {
    ...(sequence === undefined ? {} : { sequence }),
    ...(refreshHint === undefined ? {} : { refreshHint }),
    keys,
  };
  return { taken: true, bundle, changed: JSON.stringify(bundle) !== JSON.stringify(before) };
}

/** The keys without those authorities that are none, or that are not understood. */
function usable({ keys }: ParsedBundle): StoredBundle['keys'] {
  return keys.filter((key) => key['use'] !== 'x509-svid' || isAuthority(certificateIn(key)));
}

function isAuthority(certificate: Certificate | undefined): boolean {
  if (certificate === undefined) return false;
  try {
    // Whose names cannot be read may be anybody, also one who names us.
    uriNames(certificate);
    const constraints = findExtension(certificate.extensions, BASIC_CONSTRAINTS);
    return constraints !== undefined && decodeBasicConstraints(constraints.value).ca;
  } catch (error) {
    if (isWritError(error)) return false;
    throw error;
  }
}

/** The certificate of an X.509 authority in a bundle; undefined where Writ does not understand it. */
function certificateIn(key: Readonly<Record<string, unknown>>): Certificate | undefined {
  const [first] = key['x5c'] as readonly string[];
  try {
    return parseCertificate(new Uint8Array(Buffer.from(first!, 'base64')));
  } catch (error) {
    if (isWritError(error)) return undefined;
    throw error;
  }
}

/** The X.509 authorities of a bundle that was judged. */
export function authoritiesIn({ keys }: StoredBundle): Certificate[] {
  return keys
    .filter(({ use }) => use === 'x509-svid')
    .map(certificateIn)
    .filter((certificate) => certificate !== undefined);
}

function claimsOurs({ keys, jwtKeys }: ParsedBundle, own: OwnTrust): boolean {
  const ours = new Set(own.keys.map((spki) => Buffer.from(spki).toString('hex')));
  const isOurs = (spki: Uint8Array): boolean => ours.has(Buffer.from(spki).toString('hex'));
  if (jwtKeys.some(({ key }) => isOurs(key.export({ type: 'spki', format: 'der' })))) return true;
  return keys.some((key) => {
    const certificate = key['use'] === 'x509-svid' ? certificateIn(key) : undefined;
    return certificate !== undefined && (isOurs(certificate.spki) || names(certificate, own.trustDomain));
  });
}

function names(certificate: Certificate, trustDomain: TrustDomain): boolean {
  try {
    return uriNames(certificate).some((uri) => isOf(uri, trustDomain));
  } catch (error) {
    // Such an authority is left out.
    if (isWritError(error)) return false;
    throw error;
  }
}

/** The trust domains that the X.509 authorities of a bundle are for, as far as they say so: none has to. Throws for what is no bundle. */
export function trustDomainsIn(octets: Uint8Array): ReadonlySet<string> {
  const certificates = usable(parseSpiffeBundle(octets, 'bundle')).map((key) =>
    key['use'] === 'x509-svid' ? certificateIn(key) : undefined,
  );
  return new Set(
    certificates
      .flatMap((certificate) => (certificate === undefined ? [] : uriNames(certificate)))
      .flatMap((uri) => /^spiffe:\/\/([a-z0-9._-]+)$/.exec(uri)?.[1] ?? []),
  );
}

/** Trailing slashes and capitals, which others may write, name the same domain. */
function isOf(uri: string, trustDomain: TrustDomain): boolean {
  try {
    return parseSpiffeId(uri.toLowerCase().replace(/\/+$/, '')).trustDomain === trustDomain;
  } catch (error) {
    if (isWritError(error)) return false;
    throw error;
  }
}

/** What the ledger says of a bundle. */
export function describeBundle({ sequence, keys }: StoredBundle): {
  readonly sequence?: number;
  readonly roots: readonly string[];
  readonly jwt_keys: readonly string[];
} {
  const ofUse = (use: string) => keys.filter((key) => key['use'] === use);
  const digest = (key: Readonly<Record<string, unknown>>): string =>
    createHash('sha256')
      .update(Buffer.from((key['x5c'] as readonly string[])[0]!, 'base64'))
      .digest('hex');
  return {
    ...(sequence === undefined ? {} : { sequence }),
    roots: ofUse('x509-svid').map(digest),
    jwt_keys: ofUse('jwt-svid').map(({ kid }) => kid as string),
  };
}
