import type { AccessRequest, Caller } from '../base/access.ts';
import { isWritError, WritError } from '../base/error.ts';
import { newId } from '../base/id.ts';
import { readSerial } from '../ca/certificate/serial.ts';
import { requireUnrevoked } from '../ca/index/certificates.ts';
import { requireFree } from '../ca/index/require-free.ts';
import { type OpenTokenKey, requireTokenKey, SVID_KEYS } from '../ca/jwt/key.ts';
import { signJwt } from '../ca/jwt/sign.ts';
import { type Batch, newBatch } from '../db/batch.ts';
import type { EpochCache } from '../db/epoch-cache.ts';
import { requirePolicyVersion } from '../policy/store.ts';
import { type Instance, latestSerialOf, requireLatestSerial } from '../registry/instance.ts';
import { requireActiveInstance } from '../registry/standing.ts';
import type { Holder } from './holder.ts';
import { knownInstance } from './instance-holder.ts';
import type { IssuanceParts } from './parts.ts';
import { identityOf } from './refusals.ts';
import { refused } from './wanted.ts';

/** Seconds that a JWT-SVID lives unless it is asked to live otherwise. */
const JWT_SVID_SECONDS = 300;

export interface JwtSvidRequest {
  /** Whom the token is for: one or more names that its receivers go by. */
  readonly audience: readonly string[];
  /** Absent: the caller itself. Otherwise an instance that the caller let in. */
  readonly instance?: string;
  /** Seconds. */
  readonly lifetime?: number;
}

/** A JWT-SVID that is durably recorded. */
export interface IssuedJwtSvid {
  readonly token: string;
  /** The SPIFFE ID. */
  readonly id: string;
  /** Milliseconds. */
  readonly expiresAt: number;
  /** Its `jti`, by which the ledger knows it. */
  readonly jti: string;
}

export interface JwtSvidParts extends IssuanceParts {
  /** `iss` of every token: where its receivers find the discovery document. */
  readonly issuer: () => string;
  /** The key that signs now. */
  readonly tokenKey: (fresh?: boolean) => Promise<OpenTokenKey>;
  /** Newest certificates of children, by instance id, that a commit has found to be good. */
  readonly goodSerials: EpochCache<Uint8Array>;
}

/**
 * A JWT-SVID for an instance: for the caller itself, or for one that it let in (a node asks for what runs on it). It ends
 * no later than the certificate that the caller presents, the newest of the instance and the evidence that it was let in
 * on; nothing is issued for what is stopped, held or revoked; and it is on the ledger before anybody has it. Each call makes
 * another token.
 *
 * Throws `denied`, `needs_approval`, `not_found`, `inactive`, `revoked`, `expired`, `conflict`; refusals are on record by
 * then.
 */
export async function issueJwtSvid(
  caller: Caller,
  request: JwtSvidRequest,
  parts: JwtSvidParts,
): Promise<IssuedJwtSvid> {
  const attempt: Attempt = { subjects: [] };
  try {
    const issued =
      (await issue(caller, request, parts, attempt)) ?? (await issue(caller, request, parts, attempt, true));
    if (issued !== undefined) return issued;
    throw new WritError('conflict', 'What the token rests on keeps changing.', {
      remedy: 'Repeat the request in a moment.',
    });
  } catch (error) {
    await recordFault(error, caller, attempt, parts);
    throw error;
  }
}

interface Attempt {
  subjects: readonly string[];
}

/** Undefined when the commit found something changed that may still allow the request. */
async function issue(
  caller: Caller,
  { audience, instance = caller.instance, lifetime = JWT_SVID_SECONDS }: JwtSvidRequest,
  parts: JwtSvidParts,
  attempt: Attempt,
  fresh = false,
): Promise<IssuedJwtSvid | undefined> {
  await parts.refresh();
  if (instance === undefined)
    throw new WritError('denied', 'An instance alone gets JWT-SVIDs, for itself or for one that it let in.');
  const holder = await knownInstance(caller, instance, parts, fresh);
  const standing = holder.standing!;
  const own = instance === caller.instance;
  if (own || standing.instance.parent === caller.instance) attempt.subjects = [`instance:${instance}`];
  const asked = accessRequest(caller, holder, standing.instance, { audience, lifetime });
  const verdict = parts.authorize(asked);
  if (!verdict.allowed) throw refused(asked, verdict, holder);
  if (holder.fault !== undefined) throw holder.fault;

  const now = parts.clock.now();
  const newest = own ? undefined : await newestOf(instance, now + lifetime * 1000, parts, fresh);
  const ends = endsOf([caller.serial, newest?.serial], standing.instance);
  const expiresAt = Math.floor(Math.min(now + lifetime * 1000, ...ends) / 1000) * 1000;
  if (expiresAt <= now) {
    throw new WritError('expired', 'Nothing is left of what the token would rest on.', {
      remedy: 'Renew the certificate, and ask again with that.',
    });
  }
  const key = await parts.tokenKey(fresh);
  const jti = newId(now, parts.random);
  const id = holder.id.uri;
  const seconds = { iat: Math.floor(now / 1000), exp: expiresAt / 1000 };
  const claims = { iss: parts.issuer(), sub: id, aud: audience, jti, ...seconds };
  // From here on a token exists in memory, and nobody has seen it.
  const issued: IssuedJwtSvid = { token: await signJwt(key, { typ: 'JWT', claims }), id, expiresAt, jti };

  const batch = newBatch();
  requireActiveInstance(batch, standing);
  requirePolicyVersion(batch, verdict.policyVersion);
  requireTokenKey(batch, key.id, SVID_KEYS);
  if (newest !== undefined) await requireNewest(batch, instance, newest, parts);
  batch.events.push({
    type: 'jwt.issued',
    subjects: [`instance:${instance}`],
    body: {
      caller: caller.id,
      subject: id,
      audience,
      jti,
      expires_at: new Date(expiresAt).toISOString(),
      kid: key.kid,
      policy: verdict.policyVersion,
      rules: verdict.rules,
    },
  });
  const commit = await parts.commit(batch);
  if (commit.committed) {
    if (newest !== undefined && caller.asOf !== undefined) parts.goodSerials.put(instance, newest.serial, caller.asOf);
    return issued;
  }
  if (commit.refusal === 'conflict') return undefined;
  throw new WritError(commit.refusal, commit.reason);
}

function accessRequest(
  caller: Caller,
  { resource }: Holder,
  { id, parent }: Instance,
  { audience, lifetime }: { readonly audience: readonly string[]; readonly lifetime: number },
): AccessRequest {
  const context = { audience, lifetimeSeconds: lifetime, instance: id, ...(parent === undefined ? {} : { parent }) };
  return { caller, action: 'jwt.issue', resource, context };
}

/** Milliseconds: when what the token rests on ends. */
function endsOf(serials: readonly (Uint8Array | undefined)[], { attestedUntil }: Instance): number[] {
  const ends = serials.filter((one) => one !== undefined).map((one) => readSerial(one)?.expiresAt ?? 0);
  return attestedUntil === undefined ? ends : [...ends, attestedUntil];
}

/** The newest certificate of a child. */
interface Newest {
  readonly serial: Uint8Array;
  /** A commit has found it good under the present epoch. */
  readonly good: boolean;
}

/** As it is remembered where that certificate lasts until then, else as it is read. */
async function newestOf(
  instance: string,
  until: number,
  { reader, goodSerials }: JwtSvidParts,
  fresh: boolean,
): Promise<Newest | undefined> {
  const known = fresh ? undefined : goodSerials.get(instance);
  if (known !== undefined && (readSerial(known)?.expiresAt ?? 0) >= until) return { serial: known, good: true };
  const serial = await latestSerialOf(reader, instance);
  return serial === undefined ? undefined : { serial, good: false };
}

/** The commit looks again whether it is the newest, which moves no epoch, and whether it is good, unless one has found it so. */
async function requireNewest(
  batch: Batch,
  instance: string,
  { serial, good }: Newest,
  { certificates }: JwtSvidParts,
): Promise<void> {
  requireLatestSerial(batch, { id: instance, latestSerial: serial });
  const looks = newBatch();
  await requireUnrevoked(certificates, looks, serial);
  requireFree(certificates, looks, serial);
  batch.checks.push(...(good ? looks.checks : looks.checks.map(({ standing: _, ...check }) => check)));
}

/** As of a refused certificate. What policy refuses is recorded where policy is asked. */
async function recordFault(error: unknown, caller: Caller, { subjects }: Attempt, parts: JwtSvidParts): Promise<void> {
  if (!isWritError(error)) return;
  const { code } = error;
  if (code !== 'inactive' && code !== 'revoked' && code !== 'expired') return;
  await parts.recordRefusal({
    type: 'access.refused',
    by: identityOf(caller),
    code,
    subjects,
    body: { action: 'jwt.issue', reasons: [error.message] },
  });
}
