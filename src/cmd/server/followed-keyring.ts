import { WritError } from '../../base/error.ts';
import type { Reader } from '../../db/database.ts';
import type { Keyring } from '../../keys/keyring.ts';

/** The generation of the keyring as stored: it grows with each change of the passphrase. */
export async function keyringGeneration(reader: Reader): Promise<number | undefined> {
  const row = await reader.get('SELECT generation FROM keyring WHERE id = 1');
  return row?.['generation'] as number | undefined;
}

/**
 * The keyring of a process that outlives a change of the passphrase: a keyring like any other, whose content is exchanged
 * for that of the next generation. Whoever holds it sees the exchange.
 */
export class FollowedKeyring implements Keyring {
  readonly #unlock: (() => Promise<Keyring>) | undefined;
  #keyring: Keyring;

  /** `unlock` reads the passphrase once more from where it came from. Absent: it came from where nothing is left. */
  constructor(keyring: Keyring, unlock?: () => Promise<Keyring>) {
    this.#keyring = keyring;
    this.#unlock = unlock;
  }

  get generation(): number {
    return this.#keyring.generation;
  }

  get kek(): Keyring['kek'] {
    return this.#keyring.kek;
  }

  /** As plain data, for another thread. */
  plain(): Keyring {
    return { generation: this.generation, kek: this.kek };
  }

  follow(keyring: Keyring): void {
    this.#keyring = keyring;
  }

  /** Opens the keyring with the present passphrase. Throws `wrong_passphrase` where that is not to be had. */
  async reopen(): Promise<void> {
    try {
      if (this.#unlock === undefined) throw new WritError('wrong_passphrase', 'The passphrase cannot be read again.');
      this.follow(await this.#unlock());
    } catch (cause) {
      throw new WritError('wrong_passphrase', 'The passphrase was changed, and this server has not the present one', {
        remedy: 'Give it the present passphrase and start it again: until then it can rotate nothing.',
        cause,
      });
    }
  }
}
