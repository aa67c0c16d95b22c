import type { Credential } from '../identity/credential.ts';
import { type Authority, Identity, type IdentityOptions } from '../identity/identity.ts';

/** An instance that a program runs in its own process; see `childrenOf`. Shows nothing while its parent shows nothing. */
export class ChildIdentity extends Identity {
  /** What its parent calls it by. */
  readonly reference: string;
  #suspended = false;

  constructor(
    credential: Credential,
    { reference, ...authority }: Authority & { readonly reference: string },
    options: IdentityOptions = {},
  ) {
    super(credential, authority, options);
    this.reference = reference;
  }

  /** Whether it ended with its parent, and may come back with it. */
  get suspended(): boolean {
    return this.#suspended;
  }

  /** Its parent has ended, and it with it: `ended`. */
  suspend(why: Error): void {
    this.#suspended = true;
    if (this.withdraw(why)) this.emit('ended', why);
  }

  /** Its parent has an identity again: `renewed`, where the authority gives it one, too. */
  resume(): void {
    if (!this.#suspended) return;
    this.#suspended = false;
    this.restore();
    this.renew().catch((error: Error) => this.emit('failed', error));
  }
}
