import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { WritError } from '../base/error.ts';
import { parseJsonObject } from '../wire/json.ts';
import { fromBase64url } from './base64url.ts';

/** What Writ signs with: ECDSA on P-256, Ed25519 (RFC 8037), RSA PKCS #1 v1.5 with SHA-256. */
export type SigningAlgorithm = 'ES256' | 'EdDSA' | 'RS256';

/**
 * Every algorithm that can be believed (RFC 7518 §3.1, RFC 8037 §3.1). There is none without a key pair: `none` and HMAC
 * are no values of this type.
 */
export type JwsAlgorithm = SigningAlgorithm | 'ES384' | 'ES512' | 'RS384' | 'RS512' | 'PS256' | 'PS384' | 'PS512';

/** A public key, and the algorithms of signatures that are verified with it: all of them go with its kind. */
export interface VerificationKey {
  readonly kid: string | undefined;
  readonly algorithms: readonly JwsAlgorithm[];
  readonly key: KeyObject;
}

/** What is believed where nobody says otherwise: what Writ signs with itself. */
const USUAL: readonly JwsAlgorithm[] = ['ES256', 'EdDSA', 'RS256'];

/** All of them, for issuers who choose for themselves. */
export const ALL_ALGORITHMS: readonly JwsAlgorithm[] = [
  ...USUAL,
  ...(['ES384', 'ES512', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const),
];

/** A public key as a member of a JWK Set (RFC 7517 §4). */
export type PublicJwk = Readonly<Record<string, string>>;

export const LARGEST_JWKS: number = 64 * 1024;
const MOST_KEYS = 64;
const LONGEST_KID = 256;
const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 8192;

/** Members that only a private or symmetric key has (RFC 7518 §6.2.2, §6.3.2, §6.4.1). */
const SECRET_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

/**
 * Parses a JWK Set of somebody whose signatures are to be believed, by these algorithms alone. Keys of other kinds or for
 * other uses are passed over (RFC 7517 §5); a key of a known kind that is malformed, weak, named twice or private makes
 * the whole set `bad_config`, and so does a set in which nothing is left. `field` names the set in errors.
 */
export function parseJwks(
  octets: Uint8Array,
  field: string,
  believed: readonly JwsAlgorithm[] = USUAL,
): readonly VerificationKey[] {
  if (octets.length > LARGEST_JWKS) throw bad(field, 'is too large', 'A JWK Set has at most 64 KiB.');
  let set: Record<string, unknown>;
  try {
    set = parseJsonObject(octets);
  } catch (cause) {
    throw bad(field, 'is no JWK Set', 'Give a JSON object with a list "keys" (RFC 7517 §5).', cause);
  }
  const members = set['keys'];
  if (!Array.isArray(members) || members.length > MOST_KEYS) {
    throw bad(field, 'is no JWK Set', `Give a JSON object with a list "keys" of at most ${MOST_KEYS} (RFC 7517 §5).`);
  }
  const keys = members.map((member) => readJwk(member, field, believed)).filter((key) => key !== undefined);
  const kids = keys.map(({ kid }) => kid).filter((kid) => kid !== undefined);
  if (new Set(kids).size !== kids.length) throw bad(field, 'names two keys alike', 'Give each key a "kid" of its own.');
  if (keys.length === 0) throw bad(field, 'has no key that can be used', `Give keys for ${believed.join(', ')}.`);
  return keys;
}

/** One key; undefined for a kind, curve, algorithm or use that is not for verifying these signatures. */
function readJwk(value: unknown, field: string, believed: readonly JwsAlgorithm[]): VerificationKey | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw bad(field, 'has a key that is no object', 'See RFC 7517 §4.');
  }
  const jwk = value as Readonly<Record<string, unknown>>;
  if (SECRET_MEMBERS.some((member) => jwk[member] !== undefined)) {
    throw bad(
      field,
      'holds a private or symmetric key',
      'Give public keys alone; what was here is no secret any more.',
    );
  }
  const form = formOf(jwk);
  if (form === undefined || (jwk['use'] !== undefined && jwk['use'] !== 'sig')) return undefined;
  const stated = jwk['alg'];
  const algorithms = form.algorithms.filter(
    (one) => believed.includes(one) && (stated === undefined || stated === one),
  );
  if (algorithms.length === 0) return undefined;
  const operations = jwk['key_ops'];
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return undefined;
  const kid = jwk['kid'];
  if (kid !== undefined && (typeof kid !== 'string' || kid === '' || kid.length > LONGEST_KID)) {
    throw bad(field, 'has a key with an unusable "kid"', 'A "kid" is a text of at most 256 characters.');
  }
  return { kid, algorithms, key: importKey(jwk, form, field) };
}

/** A kind of key. */
interface KeyForm {
  readonly kty: string;
  readonly crv?: string;
  /** What it signs with, in the order in which `publicJwk` prefers it. */
  readonly algorithms: readonly JwsAlgorithm[];
  /** The members that make the key, by RFC 7518 §6 and RFC 8037 §2, with their lengths where they are fixed. */
  readonly members: Readonly<Record<string, number | undefined>>;
}

const FORMS: readonly KeyForm[] = [
  { kty: 'EC', crv: 'P-256', algorithms: ['ES256'], members: { x: 32, y: 32 } },
  { kty: 'EC', crv: 'P-384', algorithms: ['ES384'], members: { x: 48, y: 48 } },
  { kty: 'EC', crv: 'P-521', algorithms: ['ES512'], members: { x: 66, y: 66 } },
  { kty: 'OKP', crv: 'Ed25519', algorithms: ['EdDSA'], members: { x: 32 } },
  {
    kty: 'RSA',
    algorithms: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
    members: { n: undefined, e: undefined },
  },
];

function formOf({ kty, crv }: Readonly<Record<string, unknown>>): KeyForm | undefined {
  return FORMS.find((form) => form.kty === kty && (form.crv === undefined || form.crv === crv));
}

function importKey(jwk: Readonly<Record<string, unknown>>, form: KeyForm, field: string): KeyObject {
  const key: Record<string, unknown> = { kty: jwk['kty'] };
  if (jwk['crv'] !== undefined) key['crv'] = jwk['crv'];
  for (const [member, length] of Object.entries(form.members)) {
    const text = jwk[member];
    const octets = typeof text === 'string' ? fromBase64url(text) : undefined;
    if (octets === undefined || (length !== undefined && octets.length !== length) || octets.length === 0) {
      throw bad(field, 'has a malformed key', `"${member}" does not have the form of RFC 7518 §6.`);
    }
    key[member] = text;
  }
  try {
    // Node refuses a point that is not on its curve.
    const made = createPublicKey({ key: key as { kty: string }, format: 'jwk' });
    if (form.kty === 'RSA') requireStrong(made, field);
    return made;
  } catch (cause) {
    if (cause instanceof WritError) throw cause;
    throw bad(field, 'has a key that cannot be used', 'See RFC 7518 §6.', cause);
  }
}

/** RFC 7518 §3.3: 2048 bits or more. An exponent of 1 signs nothing; an even one is none. */
function requireStrong(key: KeyObject, field: string): void {
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  const fits = modulusLength >= MIN_RSA_BITS && modulusLength <= MAX_RSA_BITS;
  if (fits && publicExponent >= 3n && publicExponent < 2n ** 33n && publicExponent % 2n === 1n) return;
  throw bad(field, 'has a weak RSA key', `Use ${MIN_RSA_BITS} to ${MAX_RSA_BITS} bits, exponent 65537.`);
}

/** A public key as it is published, its `kid` the thumbprint of RFC 7638. P-256, Ed25519 and RSA. */
export function publicJwk(spki: Uint8Array): PublicJwk {
  const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  const exported = key.export({ format: 'jwk' }) as Record<string, string | undefined>;
  const form = formOf(exported);
  const alg = form?.algorithms[0];
  if (form === undefined || alg === undefined || !USUAL.includes(alg)) {
    throw new WritError('signer_failed', 'This kind of key does not sign tokens.');
  }
  // RFC 7638 §3.2: the required members alone, in the order of their names.
  const names = ['kty', ...(form.crv === undefined ? [] : ['crv']), ...Object.keys(form.members)].sort();
  const required = Object.fromEntries(names.map((name) => [name, exported[name]!]));
  const kid = createHash('sha256').update(JSON.stringify(required)).digest('base64url');
  return { ...required, kid, alg, use: 'sig' };
}

function bad(field: string, fault: string, remedy: string, cause?: unknown): WritError {
  return new WritError('bad_config', `The JWK Set ${fault}.`, { field, remedy, cause });
}
