import { isWritError, WritError } from '../base/error.ts';
import { problemError } from '../http/client-failure.ts';
import type { VerificationKey } from '../jwt/jwk.ts';
import { type JwtSvidFault, type ValidatedJwtSvid, validateJwtSvid } from '../jwt/jwt-svid.ts';
import { parseBundleMap, parseSpiffeBundle } from '../jwt/spiffe-bundle.ts';
import type { SpiffeId } from '../spiffe-id/spiffe-id.ts';
import type { JwtSvid as JwtSvidAnswer } from '../wire/jwt-svid.ts';
import { SERVER_RULE } from './feed/signatures.ts';
import type { AnyIdentity } from './identity/any-identity.ts';
import type { Fetch } from './identity/fetch.ts';
import type { Verifier } from './verifier/verifier.ts';

/** A JWT-SVID of one's own. */
export interface JwtSvid {
  /** For `Authorization: Bearer …`, over TLS alone: whoever hears it can use it where it is for. */
  readonly token: string;
  readonly spiffeId: string;
  /** Milliseconds. */
  readonly expiresAt: number;
}

/** Part of its life in which a token is given again. */
const REUSED = 0.5;
/** Tokens that are kept. */
const MOST_KEPT = 256;

/**
 * Gives JWT-SVIDs of an identity for one audience or several; one that has half of its life before it is given again. Calls for
 * the same that overlap share one request. Rejects as the server answers, and with `unavailable` where it does not.
 */
export function jwtSvidsOf(
  identity: AnyIdentity,
  options: { readonly server?: string } = {},
): (audience: string | readonly string[]) => Promise<JwtSvid> {
  const ask = asking(identity, options.server);
  const kept = new Map<string, { readonly svid: Promise<JwtSvid>; until: number }>();
  return (audience) => {
    const wanted = [...new Set(typeof audience === 'string' ? [audience] : audience)].sort();
    const key = JSON.stringify(wanted);
    const known = kept.get(key);
    if (known !== undefined && performance.now() < known.until) return known.svid;
    const asked = performance.now();
    const svid = ask('/v1/jwt-svids', { audience: wanted }).then((answer) => {
      const { token, spiffe_id, expires_at } = answerOf(answer);
      return { token, spiffeId: spiffe_id, expiresAt: Date.parse(expires_at) };
    });
    const entry = { svid, until: Number.POSITIVE_INFINITY };
    kept.delete(key);
    if (kept.size >= MOST_KEPT) kept.delete(kept.keys().next().value!);
    kept.set(key, entry);
    svid.then(
      ({ token }) => {
        entry.until = asked + lifeOf(token) * REUSED;
      },
      () => kept.get(key) === entry && kept.delete(key),
    );
    return svid;
  };
}

function answerOf(octets: Buffer): JwtSvidAnswer {
  try {
    return JSON.parse(octets.toString('utf8')) as JwtSvidAnswer;
  } catch (cause) {
    throw new WritError('unavailable', 'The authority did not answer.', { cause });
  }
}

/** Milliseconds between issue and end, by the server's clock alone; this machine's may be wrong. */
function lifeOf(token: string): number {
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')) as Record<
    string,
    unknown
  >;
  const life = (Number(claims['exp']) - Number(claims['iat'])) * 1000;
  return Number.isFinite(life) ? Math.max(0, life) : 0;
}

export interface JwtValidatorOptions {
  readonly identity: AnyIdentity;
  /** The name that this receiver goes by: one of a token's audiences is exactly this. */
  readonly audience: string;
  /**
   * Refuses tokens of instances that were stopped or are held, and of agents that are, and all tokens while the feed is older than
   * its `strictMs`. Absent: a token is good until it expires.
   */
  readonly verifier?: Pick<Verifier, 'fallen' | 'well'> | undefined;
  /** `https://host:port` of the API. Default: where the identity enrolled. */
  readonly server?: string | undefined;
  /** Seconds by which clocks may differ. Default 5. */
  readonly leeway?: number | undefined;
}

export type JwtDecision =
  | {
      readonly allowed: true;
      readonly id: SpiffeId;
      readonly claims: Readonly<Record<string, unknown>>;
      /** Milliseconds. */
      readonly expiresAt: number;
    }
  | {
      readonly allowed: false;
      /** `unavailable`: the keys could not be fetched; the others are those of `jwt/jwt-svid.ts` and of the feed. */
      readonly reason: JwtSvidFault | 'stopped' | 'held' | 'stale' | 'unavailable';
    };

/** Bundles are fetched again when they are this old, whatever they say of it; milliseconds. */
const LEAST_AGE = 60_000;
const MOST_AGE = 600_000;
/** For a key that nobody knows they are fetched at once, and not more often than this. */
const AGAIN_AFTER = 10_000;
/** Where the server is silent, what was fetched last counts this long. */
const USABLE = 3_600_000;

/**
 * Gives the function that validates JWT-SVIDs which others present: of this trust domain and of those that it federates
 * with, each by the keys of its own. Keys are fetched with the first token and kept. Never rejects.
 */
export function jwtValidator(options: JwtValidatorOptions): (token: string) => Promise<JwtDecision> {
  const { identity, audience, verifier, leeway } = options;
  const bundles = new Bundles(identity, asking(identity, options.server));
  return async (token) => {
    let result: ValidatedJwtSvid;
    try {
      let keys = await bundles.keys();
      const judge = (): ValidatedJwtSvid =>
        validateJwtSvid(token, {
          ...{ keys: (domain) => keys.get(domain), audience, now: Date.now() },
          ...(leeway === undefined ? {} : { leeway }),
        });
      result = judge();
      if (!result.ok && (result.fault === 'key' || result.fault === 'trust_domain')) {
        keys = await bundles.keys(true);
        result = judge();
      }
    } catch (error) {
      if (isWritError(error)) return { allowed: false, reason: 'unavailable' };
      throw error;
    }
    if (!result.ok) return { allowed: false, reason: result.fault };
    const { id, claims, expiresAt } = result;
    if (verifier !== undefined && id.trustDomain === identity.trustDomain) {
      const fallen = verifier.fallen(subjectsOf(id));
      if (fallen !== undefined) return { allowed: false, reason: fallen };
      if (!verifier.well) return { allowed: false, reason: 'stale' };
    }
    return { allowed: true, id, claims, expiresAt };
  };
}

/** What an entry of the feed can name to stop who bears a token. */
export function subjectsOf({ segments }: SpiffeId): string[] {
  const [kind, name, instance] = segments;
  if (segments.length !== 3 || (kind !== 'agent' && kind !== 'service')) return [];
  return [`agent:${name!}`, `instance:${instance!}`];
}

/** The keys of every trust domain that is believed. */
class Bundles {
  readonly #identity: AnyIdentity;
  readonly #ask: Ask;
  #keys: ReadonlyMap<string, readonly VerificationKey[]> | undefined;
  #fetchedAt = Number.NEGATIVE_INFINITY;
  #triedAt = Number.NEGATIVE_INFINITY;
  #age = LEAST_AGE;
  #fetching: Promise<void> | undefined;

  constructor(identity: AnyIdentity, ask: Ask) {
    this.#identity = identity;
    this.#ask = ask;
  }

  /** `anew`: one was met that is not known. Rejects where there are none that may be used still. */
  async keys(anew = false): Promise<ReadonlyMap<string, readonly VerificationKey[]>> {
    const now = performance.now();
    const due = now - this.#fetchedAt >= this.#age || anew;
    if (this.#keys === undefined || (due && now - this.#triedAt >= AGAIN_AFTER)) {
      this.#fetching ??= this.#fetch().finally(() => {
        this.#fetching = undefined;
      });
      await this.#fetching.catch((error: unknown) => {
        if (this.#keys === undefined) throw error;
      });
    }
    if (performance.now() - this.#fetchedAt < USABLE) return this.#keys!;
    throw new WritError('unavailable', 'The keys are too old.', { remedy: 'See why the server cannot be reached.' });
  }

  async #fetch(): Promise<void> {
    this.#triedAt = performance.now();
    const [own, federated] = await Promise.all([
      this.#ask('/v1/trust/bundle.json').then((octets) => parseSpiffeBundle(octets, 'bundle')),
      this.#ask('/v1/trust/federated').then((octets) => parseBundleMap(octets, 'federated')),
    ]);
    const others = [...federated].map(([domain, { jwtKeys }]) => [domain as string, jwtKeys] as const);
    // Nobody else says who belongs to us.
    this.#keys = new Map([...others, [this.#identity.trustDomain, own.jwtKeys]]);
    this.#age = Math.min(Math.max((own.refreshHint ?? 0) * 1000, LEAST_AGE), MOST_AGE);
    this.#fetchedAt = performance.now();
  }
}

type Ask = (path: string, body?: object) => Promise<Buffer>;

/** Requests to the authority as the identity. Throws `bad_config` where nobody says where it is. */
function asking(identity: AnyIdentity, given: string | undefined): Ask {
  const server = given ?? identity.server;
  if (server === undefined) {
    throw new WritError('bad_config', 'The identity does not say where its server is.', {
      field: 'server',
      remedy: 'Give the address of the API, like https://ca.internal:8443.',
    });
  }
  let fetch: Fetch | undefined;
  return async (path, body) => {
    fetch ??= identity.fetch({ allow: SERVER_RULE });
    let answer: Response;
    try {
      answer = await fetch(`${server}${path}`, {
        signal: AbortSignal.timeout(TIMEOUT_MS),
        ...(body === undefined
          ? {}
          : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
      });
      if (answer.ok) return Buffer.from(await answer.arrayBuffer());
    } catch (cause) {
      throw new WritError('unavailable', 'The authority did not answer.', { cause });
    }
    throw problemError({ status: answer.status, body: new Uint8Array(await answer.arrayBuffer()) });
  };
}

const TIMEOUT_MS = 10_000;
