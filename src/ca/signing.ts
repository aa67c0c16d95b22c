import type { Clock } from '../base/clock.ts';
import { WritError } from '../base/error.ts';
import type { Reader } from '../db/database.ts';
import { type Authority, activeOf, chainOf } from './authority.ts';
import { readAuthorities } from './hierarchy.ts';
import type { Issuer } from './issuer.ts';
import type { Profile } from './profile.ts';
import { readProfiles } from './profile-store.ts';

export interface SigningOptions {
  readonly reader: Reader;
  readonly clock: Clock;
  /** Opens the key of an issuing authority, as this thread comes by keys: by its keyring, or from another thread. */
  readonly open: (authority: Authority) => Promise<Issuer>;
}

/**
 * What a thread that issues knows of the authorities: who signs now, which profiles there are, and the chains to send.
 * A cache of standing: whoever holds it calls `reload` when the epoch moved. The next issuing authority is opened as
 * soon as it is recorded, so that the switch costs no request anything.
 */
export class Signing {
  readonly #options: SigningOptions;
  #authorities: readonly Authority[] = [];
  #profiles: ReadonlyMap<string, Profile> = new Map();
  #issuers: ReadonlyMap<string, Issuer> = new Map();
  #chains: ReadonlyMap<string, readonly Uint8Array[]> = new Map();

  private constructor(options: SigningOptions) {
    this.#options = options;
  }

  static async load(options: SigningOptions): Promise<Signing> {
    const signing = new Signing(options);
    await signing.reload();
    return signing;
  }

  /** Reads everything again. What was there before stays in use until the new is complete, also when this rejects. */
  async reload(): Promise<void> {
    const { reader, open } = this.#options;
    const [authorities, profiles] = [await readAuthorities(reader), await readProfiles(reader)];
    const issuers = new Map<string, Issuer>();
    for (const authority of authorities) {
      if (authority.kind !== 'issuing' || authority.state === 'retired' || authority.keyId === undefined) continue;
      issuers.set(authority.id, this.#issuers.get(authority.id) ?? (await open(authority)));
    }
    this.#authorities = authorities;
    this.#issuers = issuers;
    this.#profiles = new Map(profiles.map(({ profile }) => [profile.name, profile]));
    this.#chains = new Map(
      authorities.map(({ id }) => [id, chainOf(authorities, id).map(({ certificate }) => certificate.raw)]),
    );
  }

  /** The authority that signs leaves now. Throws `unavailable` when there is none, `expired` when it has ended. */
  issuer(): Issuer {
    const active = activeOf(this.#authorities, 'issuing');
    const issuer = active === undefined ? undefined : this.#issuers.get(active.id);
    if (issuer === undefined) {
      throw new WritError('unavailable', 'There is no issuing authority.', {
        remedy: 'Run "writ ca due": it says what is missing.',
      });
    }
    if (this.#options.clock.now() <= issuer.notAfter) return issuer;
    throw new WritError('expired', 'The issuing authority has expired.', {
      remedy: 'Run "writ ca due": it says what keeps the next one from being made.',
    });
  }

  profile(name: string): Profile | undefined {
    return this.#profiles.get(name);
  }

  /** DER of what is sent after a leaf of the authority with this id, that authority first, without the root. */
  chain(issuer: string): readonly Uint8Array[] {
    return this.#chains.get(issuer) ?? [];
  }

  /** All that are recorded, the oldest first. */
  authorities(): readonly Authority[] {
    return this.#authorities;
  }
}
