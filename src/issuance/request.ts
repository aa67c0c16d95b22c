import type { Idempotency } from '../http/idempotency.ts';
import type { ModuleProof } from './module.ts';
import type { Wish } from './parts.ts';

/** What every request for a certificate has in common. */
export interface CertificateRequest {
  /** DER of a PKCS #10 request. Its key is certified, its names are ignored. */
  readonly csr: Uint8Array;
  readonly wish?: Wish | undefined;
  readonly idempotency?: Idempotency | undefined;
  /** Whether the key of a trusted platform module signed for the CSR. Absent: nothing was presented that could be. */
  readonly moduleProof?: ModuleProof | undefined;
}
