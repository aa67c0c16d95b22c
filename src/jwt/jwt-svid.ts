import { isWritError } from '../base/error.ts';
import { parseSpiffeId, type SpiffeId } from '../spiffe-id/spiffe-id.ts';
import type { TrustDomain } from '../spiffe-id/trust-domain.ts';
import { parseCompact } from './compact.ts';
import type { VerificationKey } from './jwk.ts';
import { verifyJws } from './jws.ts';
import { SVID_ALGORITHMS } from './spiffe-bundle.ts';

export interface ValidateOptions {
  /** Keys of JWT-SVIDs of a trust domain; undefined for one that is not known. Never those of two domains together. */
  readonly keys: (trustDomain: TrustDomain) => readonly VerificationKey[] | undefined;
  /** Whoever validates goes by this name: one of the token's audiences is exactly this. */
  readonly audience: string;
  /** Milliseconds. */
  readonly now: number;
  /** Seconds by which the clocks of issuer and validator may differ. Default 5. */
  readonly leeway?: number;
}

/** What was wrong with a token: a word for programs. */
export type JwtSvidFault =
  | 'malformed'
  | 'algorithm'
  | 'header'
  | 'subject'
  | 'trust_domain'
  | 'key'
  | 'signature'
  | 'audience'
  | 'expired'
  | 'not_yet';

export type ValidatedJwtSvid =
  | {
      readonly ok: true;
      readonly id: SpiffeId;
      /** All of them, as the token has them. */
      readonly claims: Readonly<Record<string, unknown>>;
      readonly audience: readonly string[];
      /** Milliseconds. */
      readonly expiresAt: number;
    }
  | {
      readonly ok: false;
      readonly fault: JwtSvidFault /** A sentence that repeats nothing of the token. */;
      readonly why: string;
    };

const LEEWAY = 5;
/** JWT-SVID §2: any other header must not be there. */
const HEADERS: ReadonlySet<string> = new Set(['alg', 'kid', 'typ']);

/**
 * Validates a JWT-SVID as the standard says (JWT-SVID §2 to §4 and Appendix A), where it leaves a choice strictly. The keys
 * are those of the trust domain that the subject names and of no other (SPIFFE Federation §7.3). Never throws for what a
 * token holds.
 */
export function validateJwtSvid(token: string, options: ValidateOptions): ValidatedJwtSvid {
  const { keys, audience, now, leeway = LEEWAY } = options;
  const parsed = parseCompact(token);
  if (typeof parsed === 'string') return refused('malformed', parsed);
  const { header } = parsed;
  if (!(SVID_ALGORITHMS as readonly unknown[]).includes(header['alg'])) {
    return refused('algorithm', 'The algorithm is not one that JWT-SVIDs are signed with.');
  }
  if (Object.keys(header).some((name) => !HEADERS.has(name))) {
    return refused('header', 'The header has a member other than alg, kid and typ.');
  }
  const typ = header['typ'];
  if (typ !== undefined && typ !== 'JWT' && typ !== 'JOSE') {
    return refused('header', 'The type in the header is neither JWT nor JOSE.');
  }
  const claimed = parsed.claims();
  if (claimed === undefined) return refused('malformed', 'The payload is not a JSON object, or has a member twice.');
  const id = subjectOf(claimed['sub']);
  if (id === undefined) return refused('subject', 'The subject is not the SPIFFE ID of a workload.');
  const theirs = keys(id.trustDomain);
  if (theirs === undefined) return refused('trust_domain', 'No keys are known of the trust domain of the subject.');
  const verified = verifyJws(token, { keys: theirs, typ: ['jwt', 'jose', undefined] });
  if (!verified.ok) return refused(verified.fault, verified.why);
  return judged(id, verified.claims, { audience, now, leeway });
}

/** What the claims say of a token whose signature is good. */
function judged(
  id: SpiffeId,
  claims: Readonly<Record<string, unknown>>,
  { audience, now, leeway }: { readonly audience: string; readonly now: number; readonly leeway: number },
): ValidatedJwtSvid {
  // RFC 7519 §4.1.3: one text, or a list of them.
  const audiences = typeof claims['aud'] === 'string' ? [claims['aud']] : claims['aud'];
  if (!Array.isArray(audiences) || !audiences.every((one) => typeof one === 'string') || audience === '') {
    return refused('audience', 'The token has no audience, or one that is no text.');
  }
  if (!audiences.includes(audience)) return refused('audience', 'The token is for somebody else.');
  const { exp, nbf, iat } = claims;
  const seconds = now / 1000;
  if (!isTime(exp)) return refused('expired', 'The token does not say when it expires.');
  if (exp <= seconds - leeway) return refused('expired', 'The token has expired.');
  for (const from of [nbf, iat]) {
    if (from === undefined) continue;
    if (!isTime(from)) return refused('malformed', 'A time in the token is no number.');
    if (from > seconds + leeway) return refused('not_yet', 'The token is from the future.');
  }
  return { ok: true, id, claims, audience: audiences, expiresAt: exp * 1000 };
}

/** The id of a workload: that of a trust domain itself has no path (SPIFFE-ID §3.1) and no tokens. */
function subjectOf(sub: unknown): SpiffeId | undefined {
  if (typeof sub !== 'string') return undefined;
  try {
    const id = parseSpiffeId(sub);
    return id.segments.length > 0 ? id : undefined;
  } catch (error) {
    if (isWritError(error)) return undefined;
    throw error;
  }
}

/** RFC 7519 §2, NumericDate: seconds, perhaps with a fraction. */
function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

function refused(fault: JwtSvidFault, why: string): ValidatedJwtSvid {
  return { ok: false, fault, why };
}
