import { WritError } from '../base/error.ts';
import { parseTrustDomain, type TrustDomain } from '../spiffe-id/trust-domain.ts';
import { parseJsonObject } from '../wire/json.ts';
import { type JwsAlgorithm, LARGEST_JWKS, parseJwks, type VerificationKey } from './jwk.ts';

/** Octets of the largest bundle that is looked at. */
export const LARGEST_BUNDLE: number = 4 * LARGEST_JWKS;
const MOST_KEYS = 64;

/** The algorithms of JWT-SVID §2.1, and no others. */
export const SVID_ALGORITHMS: readonly JwsAlgorithm[] = [
  ...(['ES256', 'ES384', 'ES512'] as const),
  ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const),
];

/** What a SPIFFE bundle says that can be used (SPIFFE Trust Domain and Bundle §4). */
export interface ParsedBundle {
  /** §4.1.1; absent where the publisher gives none. */
  readonly sequence?: number;
  /** Seconds (§4.1.2). */
  readonly refreshHint?: number;
  /** DER of each X.509 authority; not looked into. */
  readonly authorities: readonly Uint8Array[];
  readonly jwtKeys: readonly VerificationKey[];
  /** The members of `keys` that were used, with nothing in them but what was understood. */
  readonly keys: readonly Readonly<Record<string, unknown>>[];
}

/**
 * Parses a SPIFFE bundle. Keys of other kinds and uses are passed over (§4.1.3, §4.2.1, §4.2.2), and so is an X.509
 * authority without certificate (X.509-SVID §6.2); of several certificates the first counts. What has the right kind and
 * is malformed, weak, private or named twice makes the whole bundle `bad_config`. A bundle without any key is a good one:
 * it says that nothing of the trust domain is to be believed.
 */
export function parseSpiffeBundle(octets: Uint8Array, field: string): ParsedBundle {
  if (octets.length > LARGEST_BUNDLE) throw bad(field, 'is too large', `At most ${LARGEST_BUNDLE} octets are read.`);
  const set = objectOf(octets, field);
  const members = set['keys'];
  if (!Array.isArray(members) || members.length > MOST_KEYS) {
    throw bad(field, 'has no list of keys', `A bundle has "keys", a list of at most ${MOST_KEYS}.`);
  }
  const authorities: Uint8Array[] = [];
  const jwtKeys: VerificationKey[] = [];
  const keys: Readonly<Record<string, unknown>>[] = [];
  for (const member of members) {
    if (typeof member !== 'object' || member === null || Array.isArray(member)) {
      throw bad(field, 'has a key that is no object', 'See RFC 7517 §4.');
    }
    const jwk = member as Record<string, unknown>;
    if (typeof jwk['kty'] !== 'string') continue;
    if (jwk['use'] === 'x509-svid') {
      const der = certificateOf(jwk, field);
      if (der === undefined) continue;
      authorities.push(der);
      keys.push({ ...only(jwk, PUBLIC), use: 'x509-svid', x5c: [Buffer.from(der).toString('base64')] });
    } else if (jwk['use'] === 'jwt-svid') {
      const key = jwtKeyOf(jwk, field);
      if (key === undefined) continue;
      if (jwtKeys.some(({ kid }) => kid === key.kid)) throw bad(field, 'names two keys alike', 'Each has a "kid".');
      jwtKeys.push(key);
      keys.push({ ...only(jwk, PUBLIC), kid: key.kid, use: 'jwt-svid' });
    }
  }
  return {
    ...whole(set['spiffe_sequence'], 'sequence', field),
    ...whole(set['spiffe_refresh_hint'], 'refreshHint', field),
    authorities,
    jwtKeys,
    keys,
  };
}

/**
 * Parses a SPIFFE Bundle Map (§5): each bundle speaks for its own trust domain alone. A refresh hint in it says nothing of when
 * to ask for the map again (§5.1.1). Throws `bad_config` where a trust domain stands twice or a bundle is none,
 * `bad_spiffe_id` for a name that is no trust domain.
 */
export function parseBundleMap(octets: Uint8Array, field: string): ReadonlyMap<TrustDomain, ParsedBundle> {
  const map = objectOf(octets, field)['trust_domains'];
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    throw bad(field, 'map has no trust domains', 'A map has "trust_domains", which may be empty.');
  }
  return new Map(
    Object.entries(map).map(([domain, bundle]) => [
      parseTrustDomain(domain, field),
      parseSpiffeBundle(Buffer.from(JSON.stringify(bundle)), `${field}.${domain}`),
    ]),
  );
}

const PUBLIC = ['kty', 'crv', 'x', 'y', 'n', 'e', 'alg'];

function only(jwk: Readonly<Record<string, unknown>>, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.filter((name) => jwk[name] !== undefined).map((name) => [name, jwk[name]]));
}

function objectOf(octets: Uint8Array, field: string): Record<string, unknown> {
  try {
    return parseJsonObject(octets);
  } catch (cause) {
    throw bad(field, 'is not a JSON object, or has a member twice', 'See SPIFFE Trust Domain and Bundle §4.', cause);
  }
}

/** Plain base64, as RFC 7517 §4.7 has it. */
function certificateOf(jwk: Readonly<Record<string, unknown>>, field: string): Uint8Array | undefined {
  const chain = jwk['x5c'];
  const first: unknown = Array.isArray(chain) ? chain[0] : undefined;
  if (first === undefined) return undefined;
  const der = typeof first === 'string' ? Buffer.from(first, 'base64') : undefined;
  if (der !== undefined && der.length > 0 && der.toString('base64') === first) return new Uint8Array(der);
  throw bad(field, 'has an "x5c" that is no base64', 'RFC 7517 §4.7: base64 of the DER, with padding.');
}

/** JWT-SVID §6.1: a key of tokens has a name. Undefined for what nothing is verified with. */
function jwtKeyOf(jwk: Readonly<Record<string, unknown>>, field: string): VerificationKey | undefined {
  const { use: _, ...rest } = jwk;
  if (rest['kid'] === undefined) throw bad(field, 'has a key of JWT-SVIDs without "kid"', 'JWT-SVID §6.1 asks for it.');
  try {
    return parseJwks(Buffer.from(JSON.stringify({ keys: [rest] })), field, SVID_ALGORITHMS)[0];
  } catch (error) {
    // Said of a set in which nothing is left; of one key it means that it is of another kind.
    if (error instanceof WritError && error.message.includes('no key that can be used')) return undefined;
    throw error;
  }
}

function whole<K extends string>(value: unknown, name: K, field: string): { [N in K]?: number } {
  if (value === undefined) return {};
  // Beyond 2^53 two numbers of JSON are one number here, and which came first could not be told.
  if (Number.isSafeInteger(value) && (value as number) >= 0) return { [name]: value } as { [N in K]?: number };
  throw bad(
    field,
    'has a sequence or refresh hint that is no whole number',
    'See SPIFFE Trust Domain and Bundle §4.1.',
  );
}

function bad(field: string, fault: string, remedy: string, cause?: unknown): WritError {
  return new WritError('bad_config', `The SPIFFE bundle ${fault}.`, { field, remedy, cause });
}
