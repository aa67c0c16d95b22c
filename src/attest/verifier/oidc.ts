import { isWritError, WritError } from '../../base/error.ts';
import { ALL_ALGORITHMS, type JwsAlgorithm, parseJwks, type VerificationKey } from '../../jwt/jwk.ts';
import type { OidcEvidence } from '../../wire/attestation.ts';
import type { OidcParameters } from '../../wire/attestor.ts';
import type { Verified, Verifier, VerifierParts } from '../evidence.ts';
import type { KeySets, KeySource } from './key-sets.ts';
import { factsOfClaims } from './oidc-facts.ts';
import { readable } from './readable.ts';
import { type IssuerKeys, judgeToken } from './signed-token.ts';

/** An issuer whose tokens let in. */
export interface OidcIssuer {
  readonly source: KeySource;
  readonly audience: string;
  readonly algorithms: readonly JwsAlgorithm[];
  /** Given: nothing is ever fetched. */
  readonly pinned?: readonly VerificationKey[];
  readonly maxAge?: number;
  /** Each of these claims must have one of these values. */
  readonly claims: Readonly<Record<string, readonly string[]>>;
  readonly reusable: boolean;
}

/** Tokens of any OpenID issuer (OpenID Connect Core 1.0 §3.1.3.7, RFC 7519, RFC 8725). */
export function oidcVerifier(keySets: KeySets): Verifier<OidcEvidence, OidcIssuer> {
  return { parse: parseOidc, verify: (evidence, issuer, parts) => verifyOidc(evidence, issuer, parts, keySets) };
}

/** Throws `bad_request` for a key set in which there is no key that can be used. */
export function parseOidc(parameters: OidcParameters): OidcIssuer {
  const { issuer, audience, jwks_uri, jwks, ca, algorithms, max_age_seconds, claims, reusable } = parameters;
  const allowed = algorithms ?? ALL_ALGORITHMS;
  return {
    source: {
      issuer,
      ...(jwks_uri === undefined ? {} : { jwksUri: jwks_uri }),
      ...(ca === undefined ? {} : { ca }),
    },
    audience,
    algorithms: allowed,
    ...(jwks === undefined ? {} : { pinned: parsePinned(jwks, allowed) }),
    ...(max_age_seconds === undefined ? {} : { maxAge: max_age_seconds }),
    claims: claims ?? {},
    reusable: reusable ?? false,
  };
}

function parsePinned(jwks: string, allowed: readonly JwsAlgorithm[]): readonly VerificationKey[] {
  try {
    return parseJwks(Buffer.from(jwks, 'utf8'), '/jwks', allowed);
  } catch (cause) {
    if (!isWritError(cause)) throw cause;
    const { message, remedy } = cause;
    throw new WritError('bad_request', message, { field: '/jwks', ...(remedy === undefined ? {} : { remedy }), cause });
  }
}

async function verifyOidc(
  { token }: OidcEvidence,
  issuer: OidcIssuer,
  { clock }: VerifierParts,
  keySets: KeySets,
): Promise<Verified> {
  const { source, audience, algorithms, maxAge } = issuer;
  const judged = await judgeToken(token, keysOf(issuer, keySets), {
    issuer: source.issuer,
    audience,
    algorithms,
    ...(maxAge === undefined ? {} : { maxAge }),
    now: clock.now(),
  });
  if (!judged.ok) return { accepted: false, fault: judged.fault };
  const facts = factsOfClaims(judged.claims);
  if (facts === undefined) return { accepted: false, fault: 'malformed' };
  for (const [name, values] of Object.entries(issuer.claims)) {
    const found = facts[name === 'sub' ? 'oidc:sub' : `oidc:claim/${name}`] ?? [];
    if (!found.some((value) => values.includes(value))) return { accepted: false, fault: 'not-admitted' };
  }
  return {
    accepted: true,
    facts,
    reference: readable(judged.subject),
    ...(issuer.reusable ? {} : { once: judged.once }),
  };
}

function keysOf({ pinned, source }: OidcIssuer, keySets: KeySets): IssuerKeys {
  if (pinned !== undefined) return { current: async () => pinned, newer: async () => pinned };
  return { current: () => keySets.current(source), newer: (known) => keySets.newer(source, known) };
}
