import { sha256 } from '../../base/sha256.ts';
import type { JwsAlgorithm, VerificationKey } from '../../jwt/jwk.ts';
import { readJwsHeader, verifyJws } from '../../jwt/jws.ts';
import type { EvidenceFault } from '../evidence.ts';

type Claims = Readonly<Record<string, unknown>>;

/** What a token of an issuer must be. */
export interface TokenExpectation {
  readonly issuer: string;
  readonly audience: string;
  readonly algorithms: readonly JwsAlgorithm[];
  /** Seconds since it was issued; absent: `exp` alone counts. */
  readonly maxAge?: number;
  /** Milliseconds. */
  readonly now: number;
}

/** Keys of an issuer; `newer` is asked once for a key that is not among the first. */
export interface IssuerKeys {
  current(): Promise<readonly VerificationKey[] | undefined>;
  newer(known: readonly VerificationKey[]): Promise<readonly VerificationKey[]>;
}

export type TokenJudgement =
  | { readonly ok: true; readonly claims: Claims; readonly subject: string; readonly once: OnceOnly }
  | { readonly ok: false; readonly fault: EvidenceFault };

interface OnceOnly {
  readonly digest: Uint8Array;
  /** Milliseconds. */
  readonly until: number;
}

/** By how much clocks may differ, in seconds. */
const SKEW = 60;
const LONGEST_JTI = 256;
/** Seconds since 1970 that a `Date` can hold. */
const LATEST = 8.64e12;

/**
 * Holds a token against what it must be: signed by the issuer with an algorithm that is allowed, of exactly this issuer, for
 * exactly this audience and nobody else, and for now. Keys are looked for only once the token could be one at all.
 */
export async function judgeToken(token: string, keys: IssuerKeys, expected: TokenExpectation): Promise<TokenJudgement> {
  const header = readJwsHeader(token);
  if (header === undefined) return refused('malformed');
  if (!expected.algorithms.some((one) => one === header.alg)) return refused('wrong-algorithm');
  const known = await keys.current();
  if (known === undefined) return refused('unreachable');
  let verified = verifyToken(token, known, expected.algorithms);
  if (!verified.ok && verified.fault === 'key') {
    verified = verifyToken(token, await keys.newer(known), expected.algorithms);
  }
  if (!verified.ok) {
    return refused(
      ({ malformed: 'malformed', key: 'unknown-key', signature: 'bad-signature' } as const)[verified.fault],
    );
  }
  const { claims } = verified;
  const fault = claimsFault(claims, expected);
  if (fault !== undefined) return refused(fault);
  return { ok: true, claims, subject: claims['sub'] as string, once: onceOf(token, claims) };
}

function verifyToken(
  token: string,
  keys: readonly VerificationKey[],
  allowed: readonly JwsAlgorithm[],
): ReturnType<typeof verifyJws> {
  const narrowed = keys.map((key) => ({ ...key, algorithms: key.algorithms.filter((one) => allowed.includes(one)) }));
  // Kubernetes and some others state no type; those of other kinds of tokens are told apart by theirs (RFC 8725 §3.11).
  return verifyJws(token, { keys: narrowed, typ: ['jwt', undefined] });
}

function claimsFault(claims: Claims, { issuer, audience, maxAge, now }: TokenExpectation): EvidenceFault | undefined {
  const { iss, aud, sub, exp, nbf, iat } = claims;
  if (iss !== issuer) return 'wrong-issuer';
  // A token for several could be presented here by one of the others.
  const audiences: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  if (audiences.length !== 1 || audiences[0] !== audience) return 'wrong-audience';
  if (typeof sub !== 'string' || sub === '' || sub.length > 1024) return 'malformed';
  if (!isTime(exp) || !isTime(iat) || (nbf !== undefined && !isTime(nbf))) return 'malformed';
  const seconds = now / 1000;
  if (seconds >= exp + SKEW) return 'expired';
  if (iat > seconds + SKEW || (nbf !== undefined && nbf > seconds + SKEW)) return 'not-yet-valid';
  return maxAge !== undefined && seconds - iat > maxAge + SKEW ? 'too-old' : undefined;
}

function isTime(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= LATEST;
}

/**
 * By its `jti` where it has one, else by what was signed. Not by the whole token: whoever has one ECDSA signature can make
 * another of it.
 */
function onceOf(token: string, claims: Claims): OnceOnly {
  const { iss, jti, exp } = claims;
  const named = typeof jti === 'string' && jti !== '' && jti.length <= LONGEST_JTI;
  const what = named ? ['jti', jti] : ['signed', token.slice(0, token.lastIndexOf('.'))];
  return { digest: sha256(JSON.stringify([iss, ...what])), until: Math.ceil(((exp as number) + SKEW) * 1000) };
}

function refused(fault: EvidenceFault): TokenJudgement {
  return { ok: false, fault };
}
