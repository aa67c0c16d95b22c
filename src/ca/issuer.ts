import { WritError } from '../base/error.ts';
import { sameBytes } from '../der/bytes.ts';
import type { Signer } from '../keys/signer.ts';
import type { TrustDomain } from '../spiffe-id/trust-domain.ts';
import type { SignatureAlgorithm } from '../x509/algorithm.ts';
import type { Extension } from '../x509/extension.ts';
import { AUTHORITY_KEY_IDENTIFIER, encodeAuthorityKeyIdentifier } from '../x509/extensions/authority-key-identifier.ts';
import { BASIC_CONSTRAINTS, encodeBasicConstraints } from '../x509/extensions/basic-constraints.ts';
import {
  CLIENT_AUTH,
  EXTENDED_KEY_USAGE,
  encodeExtendedKeyUsage,
  SERVER_AUTH,
} from '../x509/extensions/extended-key-usage.ts';
import { encodeKeyUsage, KEY_USAGE } from '../x509/extensions/key-usage.ts';
import { type LintIssuer, lintIssuer } from '../x509/lint/expected.ts';
import { keyIdentifier, parsePublicKey } from '../x509/public-key.ts';
import type { Authority, AuthorityKind } from './authority.ts';

/** What an issuer is known by, beside its key. */
interface IssuerFacts {
  /** Id of the authority. */
  readonly id: string;
  readonly kind: AuthorityKind;
  readonly trustDomain: TrustDomain;
  /** DER Name, octet by octet as in its certificate. */
  readonly name: Uint8Array;
  /** Its subject key identifier. */
  readonly keyIdentifier: Uint8Array;
  /** Milliseconds; what it signs begins and ends within. A root about to sign itself has no bounds yet. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Undefined for a root about to sign itself. */
  readonly lint: LintIssuer | undefined;
}

/**
 * A name and a key that sign certificates and lists. The signer lies in a private field and comes out through
 * `signerOf` alone, which only `certificate/sign.ts` and `crl/sign.ts` call; a test holds that.
 */
export class Issuer {
  readonly id: string;
  readonly kind: AuthorityKind;
  readonly trustDomain: TrustDomain;
  readonly name: Uint8Array;
  readonly keyIdentifier: Uint8Array;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly lint: LintIssuer | undefined;
  readonly algorithm: SignatureAlgorithm;
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  /** The extensions that all its leaves have in common, but for the pointers to where their status is found. */
  readonly leafExtensions: readonly Extension[];
  readonly #signer: Signer;

  constructor(facts: IssuerFacts, signer: Signer) {
    this.id = facts.id;
    this.kind = facts.kind;
    this.trustDomain = facts.trustDomain;
    this.name = facts.name;
    this.keyIdentifier = facts.keyIdentifier;
    this.notBefore = facts.notBefore;
    this.notAfter = facts.notAfter;
    this.lint = facts.lint;
    this.algorithm = signer.algorithm;
    this.spki = signer.spki;
    this.#signer = signer;
    this.leafExtensions = leafExtensions(facts);
  }

  /** For `certificate/sign.ts` and `crl/sign.ts` alone. */
  static signerOf(issuer: Issuer): Signer {
    return issuer.#signer;
  }
}

/**
 * An authority with the signer of its key. Throws `signer_failed` when the key is another than the certificate's: what
 * it signed would verify nowhere.
 */
export function openIssuer(authority: Authority, trustDomain: TrustDomain, signer: Signer): Issuer {
  const { id, kind, certificate } = authority;
  if (!sameBytes(certificate.spki, signer.spki)) {
    throw new WritError('signer_failed', `The key of authority ${id} is not the one of its certificate.`, {
      remedy: 'Restore the sealed keys and the authorities from the same backup.',
    });
  }
  const lint = lintIssuer(certificate);
  if (lint.keyIdentifier === undefined)
    throw new WritError('bad_certificate', `Authority ${id} has no key identifier.`);
  const facts = {
    id,
    kind,
    trustDomain,
    name: certificate.subject.raw,
    keyIdentifier: lint.keyIdentifier,
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
    lint,
  };
  return new Issuer(facts, signer);
}

/** A root that has no certificate yet, because it is about to sign it itself. `name` is its DER Name. */
export function rootIssuer(id: string, name: Uint8Array, trustDomain: TrustDomain, signer: Signer): Issuer {
  const facts = {
    id,
    kind: 'root',
    trustDomain,
    name,
    keyIdentifier: keyIdentifier(parsePublicKey(signer.spki)),
    notBefore: Number.NEGATIVE_INFINITY,
    notAfter: Number.POSITIVE_INFINITY,
    lint: undefined,
  } as const;
  return new Issuer(facts, signer);
}

/** SPIFFE X.509-SVID §4.4: when there are any, both of these. */
export const LEAF_PURPOSES: readonly string[] = [SERVER_AUTH, CLIENT_AUTH];

/** SPIFFE X.509-SVID §4.1, §4.3, §4.4: no authority; digital signatures; server and client alike. */
function leafExtensions(issuer: IssuerFacts): Extension[] {
  return [
    { oid: KEY_USAGE, critical: true, value: encodeKeyUsage(['digitalSignature']) },
    { oid: EXTENDED_KEY_USAGE, critical: false, value: encodeExtendedKeyUsage(LEAF_PURPOSES) },
    { oid: BASIC_CONSTRAINTS, critical: true, value: encodeBasicConstraints({ ca: false }) },
    {
      oid: AUTHORITY_KEY_IDENTIFIER,
      critical: false,
      value: encodeAuthorityKeyIdentifier(issuer.keyIdentifier),
    },
  ];
}
