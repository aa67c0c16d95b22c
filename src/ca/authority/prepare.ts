import { WritError } from '../../base/error.ts';
import type { Random } from '../../base/random.ts';
import type { Extension } from '../../x509/extension.ts';
import {
  AUTHORITY_KEY_IDENTIFIER,
  encodeAuthorityKeyIdentifier,
} from '../../x509/extensions/authority-key-identifier.ts';
import { BASIC_CONSTRAINTS, encodeBasicConstraints } from '../../x509/extensions/basic-constraints.ts';
import { encodeKeyUsage, KEY_USAGE } from '../../x509/extensions/key-usage.ts';
import { NAME_CONSTRAINTS } from '../../x509/extensions/name-constraints.ts';
import { encodeSubjectAltName, SUBJECT_ALT_NAME } from '../../x509/extensions/subject-alt-name.ts';
import { encodeSubjectKeyIdentifier, SUBJECT_KEY_IDENTIFIER } from '../../x509/extensions/subject-key-identifier.ts';
import { keyIdentifier, parsePublicKey } from '../../x509/public-key.ts';
import { encodeTbsCertificate } from '../../x509/tbs-certificate.ts';
import { BACKDATING, wholeSecond } from '../certificate/prepare.ts';
import { makeSerial } from '../certificate/serial.ts';
import { type Prepared, prepared } from '../certificate/token.ts';
import type { Issuer } from '../issuer.ts';

/** The certificate of one authority. */
export interface AuthorityRequest {
  readonly kind: 'root' | 'intermediate' | 'issuing';
  /** DER Name. */
  readonly name: Uint8Array;
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  /** Seconds; its issuer may end it sooner. */
  readonly lifetime: number;
  /** DER of the NameConstraints. */
  readonly nameConstraints: Uint8Array;
  /** To the list and the certificate of whoever signs, where those are served. */
  readonly pointers?: readonly Extension[];
}

/** How many authorities may follow below: root, intermediate, issuing, and then leaves alone. */
const PATH_LENGTHS = { root: 2, intermediate: 1, issuing: 0 } as const;

/** Who signs whom; the root itself. */
const ABOVE = { root: 'root', intermediate: 'root', issuing: 'intermediate' } as const;

/**
 * Prepares the certificate of an authority as `prepareLeaf` does that of a leaf; `lint_failed`, `expired` and `clock`
 * mean the same. `now` in milliseconds.
 */
export function prepareAuthority(
  issuer: Issuer,
  request: AuthorityRequest,
  { now, random }: { readonly now: number; readonly random: Random },
): Prepared {
  const { kind, name, spki } = request;
  if (issuer.kind !== ABOVE[kind]) {
    throw new WritError('internal', 'An authority was to be signed by one of the wrong kind.');
  }
  const lifetime = Math.min(request.lifetime, Math.floor((issuer.notAfter - now) / 1000));
  if (lifetime < 1) {
    throw new WritError('expired', 'The authority that would sign has expired.', { remedy: 'See "writ ca due".' });
  }
  const key = parsePublicKey(spki);
  const serial = makeSerial(now, lifetime, random);
  const expiresAt = now + lifetime * 1000;
  const tbs = encodeTbsCertificate({
    serial,
    algorithm: issuer.algorithm,
    issuer: issuer.name,
    notBefore: Math.max(issuer.notBefore, wholeSecond(now - BACKDATING)),
    notAfter: wholeSecond(expiresAt),
    subject: name,
    spki,
    extensions: [
      ...authorityExtensions(kind, issuer.trustDomain, request.nameConstraints),
      { oid: SUBJECT_KEY_IDENTIFIER, critical: false, value: encodeSubjectKeyIdentifier(keyIdentifier(key)) },
      // A root could do without (RFC 5280 §4.2.1.1); tools that do not know its algorithm cannot tell that it is one.
      authorityKeyIdentifier(issuer),
      ...(request.pointers ?? []),
    ],
  });
  return prepared(issuer, {
    serial,
    issuedAt: now,
    expiresAt,
    tbs,
    expected: {
      kind: 'authority',
      trustDomain: issuer.trustDomain,
      keys: [key.algorithm],
      maxValidity: request.lifetime * 1000 + BACKDATING,
      purposes: [],
      pathLength: PATH_LENGTHS[kind],
    },
  });
}

/** What an authority's certificate says of it, and what a request for one asks: all but the key identifiers. */
export function authorityExtensions(
  kind: AuthorityRequest['kind'],
  trustDomain: string,
  nameConstraints: Uint8Array,
): Extension[] {
  return [
    {
      oid: BASIC_CONSTRAINTS,
      critical: true,
      value: encodeBasicConstraints({ ca: true, pathLength: PATH_LENGTHS[kind] }),
    },
    { oid: KEY_USAGE, critical: true, value: encodeKeyUsage(['keyCertSign', 'cRLSign']) },
    { oid: NAME_CONSTRAINTS, critical: true, value: nameConstraints },
    // SPIFFE X.509-SVID §3.2: the id of the trust domain, without a path
    {
      oid: SUBJECT_ALT_NAME,
      critical: false,
      value: encodeSubjectAltName([{ kind: 'uri', value: `spiffe://${trustDomain}` }]),
    },
  ];
}

function authorityKeyIdentifier(issuer: Issuer): Extension {
  return {
    oid: AUTHORITY_KEY_IDENTIFIER,
    critical: false,
    value: encodeAuthorityKeyIdentifier(issuer.keyIdentifier),
  };
}
