import type { Action, Caller } from '../base/access.ts';
import type { WritError } from '../base/error.ts';
import type { SignedCertificate } from '../ca/certificate/sign.ts';
import type { Issuer } from '../ca/issuer.ts';
import type { Batch } from '../db/batch.ts';
import type { Idempotency } from '../http/idempotency.ts';
import type { Holder } from './holder.ts';
import type { Wish } from './parts.ts';

/** What one flow knows and the others do not. */
export interface Order {
  readonly caller: Caller;
  readonly action: Extract<
    Action,
    'instance.enrol' | 'workload.enrol' | 'certificate.issue' | 'certificate.renew' | 'certificate.replace'
  >;
  /** As what the certificate is recorded. */
  readonly event: 'certificate.issued' | 'certificate.renewed' | 'certificate.replaced';
  /** DER. */
  readonly csr: Uint8Array;
  readonly wish: Wish;
  readonly idempotency?: Idempotency | undefined;
  /** What the act changes lets a repeat of it come as far as the commit, which knows the idempotency key. */
  readonly repeatReachesCommit?: true;
  /** The act revokes the certificate that the caller presents: the commit of a repeat in flight finds it revoked. */
  readonly revokesOwn?: boolean;
  /** The certificate on the strength of which this one is asked for. */
  readonly previous?: Uint8Array | undefined;
  /** The certificate is that of the OCSP responder for what this authority signed; absent: a leaf of the one that signs now. */
  readonly responderOf?: Issuer;
  /** Step 2. `fresh`: what is remembered may be out of date. Throws what the caller may be told. */
  holder(fresh: boolean): Promise<Holder>;
  /** After step 2: why the act cannot be done, or not again. A repeat of one that was done is not asked. */
  fault?(): WritError | undefined;
  /** Step 6, for what else the act does. */
  also?(batch: Batch, certificate: SignedCertificate): void | Promise<void>;
}
