import { WritError } from '../base/error.ts';
import { type Authority, activeOf, chainOf } from '../ca/authority.ts';
import { readAuthorities } from '../ca/hierarchy.ts';
import type { Issuer } from '../ca/issuer.ts';
import { readProfiles, type StoredProfile } from '../ca/profile/store.ts';
import type { Epoch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import type { SigningAuthority } from './parts.ts';

export interface CurrentAuthorityParts {
  readonly reader: Reader;
  readonly epoch: Epoch;
  /** Opens the key of an issuing authority. */
  readonly open: (authority: Authority) => Promise<Issuer>;
}

/**
 * Authorities and profiles as one thread knows them. `refresh` is called at the beginning of each request: it costs a
 * comparison while the epoch stays. The authority that comes next is opened as soon as it is recorded, so that the switch
 * makes nobody wait.
 */
export class CurrentAuthority implements SigningAuthority {
  readonly #parts: CurrentAuthorityParts;
  readonly #issuers = new Map<string, Promise<Issuer>>();
  #authorities: readonly Authority[] = [];
  #profiles: ReadonlyMap<string, StoredProfile> = new Map();
  #chains = new Map<string, readonly Uint8Array[]>();
  #issuer: Issuer | undefined;
  #epoch = -1;
  #loading: Promise<void> | undefined;

  constructor(parts: CurrentAuthorityParts) {
    this.#parts = parts;
  }

  /** Resolves when what is committed is known. Rejects with `storage_failed` or `signer_failed`. */
  refresh(): Promise<void> {
    const wanted = this.#parts.epoch.current();
    return this.#epoch >= wanted ? FRESH : this.#reach(wanted);
  }

  issuer(): Issuer {
    if (this.#issuer !== undefined) return this.#issuer;
    throw new WritError('unavailable', 'No issuing authority is active.', {
      remedy: 'See "writ ca due" on the server’s machine.',
    });
  }

  profile(name: string): StoredProfile | undefined {
    return this.#profiles.get(name);
  }

  /** All of them, as last refreshed. */
  authorities(): readonly Authority[] {
    return this.#authorities;
  }

  /** Opens the key of any authority that has one here, and keeps it as those that sign. Rejects with `not_found` for another. */
  opened(authority: Authority): Promise<Issuer> {
    return this.#open(authority);
  }

  chain(issuer: string): readonly Uint8Array[] {
    let chain = this.#chains.get(issuer);
    if (chain === undefined) {
      chain = chainOf(this.#authorities, issuer).map(({ certificate }) => certificate.raw);
      this.#chains.set(issuer, chain);
    }
    return chain;
  }

  /** A load that is under way may have begun before the change that this caller has to see. */
  async #reach(epoch: number): Promise<void> {
    while (this.#epoch < epoch) {
      this.#loading ??= this.#load().finally(() => {
        this.#loading = undefined;
      });
      await this.#loading;
    }
  }

  async #load(): Promise<void> {
    const { reader, epoch } = this.#parts;
    // Taken before anything is read: what changes meanwhile is noticed the next time.
    const under = epoch.current();
    const [authorities, profiles] = [await readAuthorities(reader), await readProfiles(reader)];
    const active = activeOf(authorities, 'issuing');
    const next = authorities.find(({ kind, state }) => kind === 'issuing' && state === 'next');
    if (next !== undefined) this.#open(next).catch(() => undefined);
    const issuer = await this.#openActive(active);
    this.#authorities = authorities;
    this.#chains = new Map();
    this.#profiles = new Map(profiles.map((stored) => [stored.profile.name, stored]));
    this.#issuer = issuer;
    this.#epoch = under;
  }

  /** Where the one that signs now cannot be opened there is none: nothing goes on under its predecessor. */
  async #openActive(active: Authority | undefined): Promise<Issuer | undefined> {
    if (active === undefined) return undefined;
    try {
      return await this.#open(active);
    } catch (error) {
      this.#issuer = undefined;
      throw error;
    }
  }

  #open(authority: Authority): Promise<Issuer> {
    let opened = this.#issuers.get(authority.id);
    if (opened === undefined) {
      opened = this.#parts.open(authority);
      this.#issuers.set(authority.id, opened);
      opened.catch(() => this.#issuers.delete(authority.id));
    }
    return opened;
  }
}

const FRESH: Promise<void> = Promise.resolve();
