import type { Caller } from '../../base/access.ts';
import type { Clock } from '../../base/clock.ts';
import { isWritError } from '../../base/error.ts';
import { type CommitBatch, newBatch } from '../../db/batch.ts';
import { committed } from '../../db/committed.ts';
import type { Reader } from '../../db/database.ts';
import { verifyJws } from '../../jwt/jws.ts';
import { parseSpiffeId } from '../../spiffe-id/spiffe-id.ts';
import { subjectOf } from '../../spiffe-id/subject.ts';
import type { TrustDomain } from '../../spiffe-id/trust-domain.ts';
import { CREDENTIAL_CHANGE, RISK_LEVEL_CHANGE, SESSION_REVOKED } from './events.ts';
import { type TrustedTransmitter, transmitterOf } from './trusted.ts';

/** What a signal can hold: one instance, or an agent or service with all of its instances. */
export type HoldTarget =
  | { readonly kind: 'instance'; readonly id: string }
  | { readonly kind: 'agent'; readonly name: string };

/**
 * Holds what a signal names, reversibly, also when it is held already. Throws `not_found` for what is not there, `revoked`
 * for what is stopped for ever. `evidence` is a link. The flow of `revocation/`, passed in by `cmd/`.
 */
type Quarantine = (caller: Caller, target: HoldTarget, evidence: string | undefined) => Promise<void>;

export interface ReceiveParts {
  readonly reader: Reader;
  readonly commit: CommitBatch;
  readonly clock: Clock;
  readonly trustDomain: TrustDomain;
  readonly trusted: readonly TrustedTransmitter[];
  readonly quarantine: Quarantine;
}

/** Codes of RFC 8935 §2.4 that we answer with. */
type SetFault = 'invalid_request' | 'invalid_key' | 'invalid_issuer' | 'invalid_audience' | 'authentication_failed';

export type Received =
  | { readonly ok: true }
  | { readonly ok: false; readonly err: SetFault; readonly description: string };

/** Automated signals can hold and nothing else: making it for ever takes a person (DESIGN §3.7). */
const CALLER: Caller = { kind: 'system', id: 'system:signal' };

/** How far ahead the clock of a transmitter may be, in seconds. */
const AHEAD = 60;
/** Transmitters retry, but not for longer than this; seconds. What is older is a replay. */
const OLDEST = 7 * 86_400;
/** A `jti` is remembered until its token is too old to be taken, and then some. */
const KEEP_MS: number = (OLDEST + 86_400) * 1000;
const LONGEST_JTI = 256;

/**
 * Takes one SET that was pushed to us (RFC 8935). What it demands is done, and on the ledger, before it is taken: a
 * transmitter that hears nothing sends it again, and that does no harm. A SET that was taken before is taken again and
 * does nothing.
 */
export async function receiveSet(
  token: string,
  authorization: string | undefined,
  parts: ReceiveParts,
): Promise<Received> {
  const transmitter = transmitterOf(parts.trusted, authorization);
  if (transmitter === undefined) {
    return refused('authentication_failed', 'The bearer token is missing or is nobody’s.');
  }
  const verified = verifyJws(token, { keys: transmitter.keys, typ: 'secevent+jwt' });
  if (!verified.ok) return refused(verified.fault === 'malformed' ? 'invalid_request' : 'invalid_key', verified.why);
  const said = readClaims(verified.claims, transmitter, { now: parts.clock.now(), trustDomain: parts.trustDomain });
  if ('ok' in said) return said;
  const { issuer } = transmitter;
  const { jti, event, target } = said;
  if (await wasReceived(parts.reader, issuer, jti)) return { ok: true };
  if (event === undefined) {
    await remember(parts, { issuer, jti });
    return { ok: true };
  }
  const outcome = target === undefined ? 'nobody here' : await hold(target, { issuer, jti }, parts);
  await remember(parts, {
    issuer,
    jti,
    acted: { event, outcome, ...(target === undefined ? {} : { target }) },
  });
  return { ok: true };
}

/** What a SET says, as far as Writ acts on it. */
interface Said {
  readonly jti: string;
  /** The type of the event by which it demands a hold; absent where it demands none. */
  readonly event?: string;
  /** Whom here; absent where it names nobody of this trust domain. */
  readonly target?: HoldTarget;
}

/** Reads the claims of a SET whose signature is good; gives the answer to it where they are not those of one. */
export function readClaims(
  claims: Readonly<Record<string, unknown>>,
  transmitter: Pick<TrustedTransmitter, 'issuer' | 'audience'>,
  { now, trustDomain }: { readonly now: number; readonly trustDomain: TrustDomain },
): Said | Extract<Received, { ok: false }> {
  const fault = faultOf(claims, transmitter, now);
  if (fault !== undefined) return fault;
  const jti = claims['jti'] as string;
  const event = demandedBy(claims);
  if (event === undefined) return { jti };
  const target = targetOf(claims['sub_id'], trustDomain);
  return { jti, event, ...(target === undefined ? {} : { target }) };
}

/** RFC 8417 §2.2 and SSF 1.0 §4.1. */
function faultOf(
  claims: Readonly<Record<string, unknown>>,
  { issuer, audience }: Pick<TrustedTransmitter, 'issuer' | 'audience'>,
  now: number,
): Extract<Received, { ok: false }> | undefined {
  const { iss, aud, iat, jti, events } = claims;
  if (iss !== issuer) return refused('invalid_issuer', 'The issuer is not the one that this bearer token is for.');
  const audiences = Array.isArray(aud) ? aud : [aud];
  if (!audiences.includes(audience)) return refused('invalid_audience', 'The token is for somebody else.');
  if (claims['sub'] !== undefined || claims['exp'] !== undefined) {
    return refused('invalid_request', 'A SET of Shared Signals has neither "sub" nor "exp" (SSF 1.0 §4.1).');
  }
  if (typeof jti !== 'string' || jti === '' || jti.length > LONGEST_JTI) {
    return refused('invalid_request', 'The token has no usable "jti".');
  }
  if (typeof iat !== 'number' || !Number.isFinite(iat) || iat > now / 1000 + AHEAD || iat < now / 1000 - OLDEST) {
    return refused('invalid_request', 'The "iat" is missing, ahead of the clock, or older than a week.');
  }
  if (typeof events !== 'object' || events === null || Array.isArray(events) || Object.keys(events).length === 0) {
    return refused('invalid_request', 'The token has no event.');
  }
  return undefined;
}

/** The type of the event by which a token demands a hold; undefined for all others. */
function demandedBy(claims: Readonly<Record<string, unknown>>): string | undefined {
  const events = claims['events'] as Readonly<Record<string, unknown>>;
  for (const [event, value] of Object.entries(events)) {
    const said = (typeof value === 'object' && value !== null ? value : {}) as Readonly<Record<string, unknown>>;
    if (event === SESSION_REVOKED) return event;
    if (event === RISK_LEVEL_CHANGE && said['current_level'] === 'HIGH') return event;
    const change = said['change_type'];
    if (event === CREDENTIAL_CHANGE && (change === 'revoke' || change === 'delete')) return event;
  }
  return undefined;
}

/** Members of a complex subject in which an agent may stand (SSF 1.0 §3.3), the nearest first. */
const MEMBERS = ['session', 'user', 'device', 'application'] as const;

/** Whom a subject identifier (RFC 9493) names here: one of format `uri` with a SPIFFE ID, by itself or within `complex`. */
function targetOf(subject: unknown, trustDomain: TrustDomain): HoldTarget | undefined {
  if (typeof subject !== 'object' || subject === null) return undefined;
  const { format, uri, ...members } = subject as Readonly<Record<string, unknown>>;
  if (format === 'uri' && typeof uri === 'string') return ofUri(uri, trustDomain);
  if (format !== 'complex') return undefined;
  for (const member of MEMBERS) {
    const inner = members[member];
    // No complex subject stands within another.
    if ((inner as { format?: unknown } | undefined)?.format !== 'uri') continue;
    const found = targetOf(inner, trustDomain);
    if (found !== undefined) return found;
  }
  return undefined;
}

function ofUri(uri: string, trustDomain: TrustDomain): HoldTarget | undefined {
  try {
    const id = parseSpiffeId(uri);
    const { segments } = id;
    if (id.trustDomain !== trustDomain) return undefined;
    const [kind, name] = segments;
    // An agent or service itself has no SVID; its name is what those of its instances begin with.
    if (segments.length === 2 && (kind === 'agent' || kind === 'service')) return { kind: 'agent', name: name! };
    const found = subjectOf(id, trustDomain);
    return found !== undefined && 'instance' in found ? { kind: 'instance', id: found.instance } : undefined;
  } catch (error) {
    if (isWritError(error, 'bad_spiffe_id')) return undefined;
    throw error;
  }
}

async function hold(
  target: HoldTarget,
  signal: { readonly issuer: string; readonly jti: string },
  { quarantine }: ReceiveParts,
): Promise<string> {
  try {
    await quarantine(CALLER, target, evidenceOf(signal));
    return 'quarantined';
  } catch (error) {
    // What is unknown here, or stopped for ever, is no fault of the token.
    if (isWritError(error, 'not_found')) return 'unknown';
    if (isWritError(error, 'revoked') || isWritError(error, 'inactive')) return 'stopped already';
    throw error;
  }
}

/** The token's name as a link below its issuer, where that is a URL; the entry `signal.received` has both in any case. */
function evidenceOf({ issuer, jti }: { readonly issuer: string; readonly jti: string }): string | undefined {
  if (!/^https?:\/\//.test(issuer) || !URL.canParse(issuer)) return undefined;
  const url = new URL(issuer);
  url.hash = `jti=${encodeURIComponent(jti)}`;
  return url.href.length <= 1024 ? url.href : undefined;
}

async function wasReceived(reader: Reader, issuer: string, jti: string): Promise<boolean> {
  const sql = 'SELECT 1 AS found FROM signal_received WHERE issuer = ? AND jti = ?';
  return (await reader.get(sql, [issuer, jti])) !== undefined;
}

interface Remembered {
  readonly issuer: string;
  readonly jti: string;
  /** Absent where the token demanded nothing: such ones leave no entry, or a talkative transmitter would fill the log. */
  readonly acted?: { readonly event: string; readonly outcome: string; readonly target?: HoldTarget };
}

async function remember({ commit, clock }: ReceiveParts, { issuer, jti, acted }: Remembered): Promise<void> {
  const now = clock.now();
  const batch = newBatch();
  batch.writes.push({
    sql: 'INSERT INTO signal_received (issuer, jti, keep_until) VALUES (?, ?, ?) ON CONFLICT (issuer, jti) DO NOTHING',
    params: [issuer, jti, now + KEEP_MS],
  });
  if (acted !== undefined) {
    const { target, event, outcome } = acted;
    const subject = target === undefined ? [] : [`${target.kind}:${target.kind === 'agent' ? target.name : target.id}`];
    batch.events.push({
      type: 'signal.received',
      subjects: subject,
      body: { caller: CALLER.id, issuer, jti, event, outcome },
    });
  }
  committed(await commit(batch));
}

/** Takes out what was remembered and is past its time, at most `limit`. Gives whether there was any. */
export async function forgetReceived(
  parts: Pick<ReceiveParts, 'reader' | 'commit' | 'clock'>,
  limit: number,
): Promise<boolean> {
  const now = parts.clock.now();
  const due = await parts.reader.get('SELECT 1 AS found FROM signal_received WHERE keep_until <= ?', [now]);
  if (due === undefined) return false;
  const batch = newBatch();
  batch.writes.push({
    sql:
      'DELETE FROM signal_received WHERE (issuer, jti) IN ' +
      '(SELECT issuer, jti FROM signal_received WHERE keep_until <= ? ORDER BY keep_until LIMIT ?)',
    params: [now, limit],
  });
  await parts.commit(batch);
  return true;
}

function refused(err: SetFault, description: string): Extract<Received, { ok: false }> {
  return { ok: false, err, description };
}
