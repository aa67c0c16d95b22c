import type { Clock } from '../../base/clock.ts';
import { isWritError } from '../../base/error.ts';
import { ALL_ALGORITHMS, LARGEST_JWKS, parseJwks, type VerificationKey } from '../../jwt/jwk.ts';
import { parseJsonObject } from '../../wire/json.ts';
import type { EvidenceFetch } from '../evidence.ts';

/** Where the keys of an issuer are published. */
export interface KeySource {
  /** As tokens have it in `iss`, an https:// URL. */
  readonly issuer: string;
  /** Absent: what the issuer's discovery document says (OpenID Connect Discovery 1.0 §4). */
  readonly jwksUri?: string;
  /** PEM of the roots that the issuer's server is trusted by. Absent: those of the system. */
  readonly ca?: readonly string[];
}

interface Held {
  readonly keys: readonly VerificationKey[];
  /** When they came, and when they are asked for anew. Milliseconds. */
  readonly at: number;
  readonly freshUntil: number;
}

interface State {
  held?: Held;
  triedAt?: number;
  pending?: Promise<void>;
}

export interface KeySetsParts {
  readonly clock: Clock;
  readonly fetch: EvidenceFetch;
}

const SECOND = 1000;
/** How long keys are taken for current: as long as the issuer says, between these, and so long where it says nothing. */
const FRESH = { least: 60 * SECOND, usual: 900 * SECOND, most: 3600 * SECOND } as const;
/** An issuer that does not answer is believed by the keys that it had for this long: 4 hours. */
const STALE = 4 * 3600 * SECOND;
/** An issuer is asked once in this time, whatever strangers send. */
const PAUSE = 30 * SECOND;
/** Issuers are configured, and there are few; a bound all the same. */
const MOST = 1024;

/**
 * The published keys of issuers, kept. Only what is configured is ever asked, never an address out of a token; at most once
 * in 30 seconds for each source, however many tokens name keys that nobody knows; and by one request at a time.
 */
export class KeySets {
  readonly #parts: KeySetsParts;
  readonly #states = new Map<string, State>();

  constructor(parts: KeySetsParts) {
    this.#parts = parts;
  }

  /** The keys as of now; undefined where the issuer cannot be reached, or what it publishes cannot be used. */
  async current(source: KeySource): Promise<readonly VerificationKey[] | undefined> {
    const state = this.#stateOf(source);
    const { clock } = this.#parts;
    if (state.held === undefined || state.held.freshUntil <= clock.now()) await this.#ask(state, source);
    const { held } = state;
    return held !== undefined && clock.now() < held.at + STALE ? held.keys : undefined;
  }

  /** For a token by a key that is not among `known`: the keys anew, where the issuer may be asked again; else `known`. */
  async newer(source: KeySource, known: readonly VerificationKey[]): Promise<readonly VerificationKey[]> {
    const state = this.#stateOf(source);
    if (state.held?.keys === known) await this.#ask(state, source);
    return state.held?.keys ?? known;
  }

  #stateOf({ issuer, jwksUri = '', ca = [] }: KeySource): State {
    const name = JSON.stringify([issuer, jwksUri, ca]);
    const state = this.#states.get(name) ?? {};
    // The last used stands last.
    this.#states.delete(name);
    this.#states.set(name, state);
    if (this.#states.size > MOST) this.#states.delete(this.#states.keys().next().value!);
    return state;
  }

  async #ask(state: State, source: KeySource): Promise<void> {
    const now = this.#parts.clock.now();
    if (state.pending === undefined) {
      if (state.triedAt !== undefined && now < state.triedAt + PAUSE) return;
      state.triedAt = now;
      state.pending = this.#load(source)
        .then((held) => {
          if (held !== undefined) state.held = held;
        })
        .finally(() => {
          delete state.pending;
        });
    }
    await state.pending;
  }

  async #load({ issuer, jwksUri, ca }: KeySource): Promise<Held | undefined> {
    const options = ca === undefined ? {} : { ca };
    const { fetch, clock } = this.#parts;
    const uri = jwksUri ?? (await this.#discover(issuer, options));
    if (uri === undefined) return undefined;
    const answer = await fetch(uri, options);
    if (!answer.reached || answer.status !== 200 || answer.body.length > LARGEST_JWKS) return undefined;
    const keys = orNothing(() => parseJwks(answer.body, 'jwks', ALL_ALGORITHMS));
    if (keys === undefined) return undefined;
    const at = clock.now();
    const kept = Math.min(Math.max((answer.maxAge ?? FRESH.usual / SECOND) * SECOND, FRESH.least), FRESH.most);
    return { keys, at, freshUntil: at + kept };
  }

  /** Where the issuer says that its keys are. The document must be about this very issuer (Discovery §4.3). */
  async #discover(issuer: string, options: { readonly ca?: readonly string[] }): Promise<string | undefined> {
    const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    const answer = await this.#parts.fetch(url, options);
    if (!answer.reached || answer.status !== 200) return undefined;
    const said = orNothing(() => parseJsonObject(answer.body));
    const uri = said?.['jwks_uri'];
    return said?.['issuer'] === issuer && typeof uri === 'string' && uri.startsWith('https://') ? uri : undefined;
  }
}

function orNothing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isWritError(error)) return undefined;
    throw error;
  }
}
